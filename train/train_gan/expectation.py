"""What to expect of few covers, in one line at the start.

Measured with 30, 100, 300, 1,000 and 10,000 covers of 32 pixels, 60,000 shown of each (train/README.md, "How many
covers"): in that time 100 covers gave what 10,000 gave, and 30 were learned by heart.
"""

HEART = 60  # between the 30 that were learned by heart and the 100 that were not
FEW = 1000  # from here on more covers changed nothing


def what_to_expect(covers: int, is_started: bool = False) -> str:
    """Return a line about so many covers; none where there are enough.

    Args:
        covers: to learn from.
        is_started: whether the run begins with what others trained.
    """
    if covers >= FEW:
        return ""
    if covers < HEART:
        known = "1 cover is" if covers == 1 else f"{covers} covers are"
        mend = "collect a hundred" + (", or begin with what others trained (--start_from)" if not is_started else "")
        return (
            f"{known} so few that the generator learns them by heart (measured with 30), which `augmentation: auto` "
            f"in the recipe hardly changes; {mend}"
        )
    return (
        f"{covers} covers: a short run draws as well from them as from thousands (measured with 100 to 10,000), and "
        "better without augmentation; a long one learns them by heart: when held_out_gap in metrics.jsonl grows, stop "
        "and take best/, or begin anew with `augmentation: auto` in the recipe"
    )
