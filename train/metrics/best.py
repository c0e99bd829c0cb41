"""Which of several evaluations is better: the one place that decides what best/ holds and which average is shown."""

import math
from collections.abc import Sequence


Line = dict[str, float]  # an evaluation, as metrics.jsonl holds it


def best_of(evaluations: Sequence[Line]) -> Line:
    """Return the evaluation with the lowest KID where all have one, else `fd_covers`; of equal ones the first."""
    by = "kid" if all("kid" in line for line in evaluations) else "fd_covers"
    return min(evaluations, key=lambda line: line[by])


def is_best(evaluation: Line, earlier: Sequence[Line]) -> bool:
    """Return whether an evaluation is better than all earlier ones that measured what decides about this one."""
    by = "kid" if "kid" in evaluation else "fd_covers"
    return evaluation[by] < min((line[by] for line in earlier if by in line), default=math.inf)
