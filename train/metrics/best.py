"""Which of several evaluations is better: the one place that decides what best/ holds and which average is shown."""

import math


def measure_of(*scores: dict[str, float]) -> str:
    """Return the name of the metric by which evaluations are compared, lower is better.

    KID where all have it, else `fd_covers`.
    """
    return "kid" if all("kid" in score for score in scores) else "fd_covers"


def is_best(score: dict[str, float], lowest: dict[str, float]) -> bool:
    """Return whether an evaluation is better than all before, of which `lowest` holds the lowest value of each metric.

    `lowest` takes note of this one.
    """
    by = measure_of(score)
    found = score[by] < lowest.get(by, math.inf)
    for name in {"kid", "fd_covers"} & score.keys():
        lowest[name] = min(score[name], lowest.get(name, math.inf))
    return found
