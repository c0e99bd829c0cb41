"""What to expect of few covers, in one line at the start.

Measured with 30, 100, 300, 1,000 and 10,000 covers of 32 pixels, 60,000 shown of each (train/README.md, "How many
covers"): in that time 100 covers gave what 10,000 gave, and 30 were learned by heart.
"""

HEART = 60  # between the 30 that were learned by heart and the 100 that were not
FEW = 1000  # from here on more covers changed nothing


def what_to_expect(covers: int) -> str:
    """Return a line about so many covers; none where there are enough."""
    if covers >= FEW:
        return ""
    if covers < HEART:
        return (
            f"{covers} covers are so few that the generator learns them by heart; `augmentation: auto` "
            "in the recipe delays that (measured with 30), a hundred covers do not need it"
        )
    return (
        f"{covers} covers: at first as good as thousands (measured with 100 to 10,000), then they repeat; stop when "
        "held_out_gap in metrics.jsonl grows, and leave augmentation out until it does"
    )
