"""Which of several evaluations is better: the one place that decides what best/ holds and which average is shown.

The rule: the lowest KID, where Inception measures. Else the lowest product of

- `fd_covers`, which saw no photograph,
- `kernel_eyes`, which sees 128 pixels, but flatters discriminators on features of its kind (eyes.py),
- how far `colour_spread` is from that of real covers, as a factor: few colours look good one by one,
- and the lattice, a factor of 2 for each 6 dB above that of real covers.

A product has no units to be weighed: to halve one is worth to double another, so none chooses alone. Where the last
three were not measured it is `fd_covers`.
"""

import math
from collections.abc import Callable, Sequence


Line = dict[str, float]  # an evaluation, as metrics.jsonl holds it
FLOOR = 0.5  # of kernel_eyes, which scatters around 0 for real covers
PRODUCT = ("kernel_eyes", "colour_spread", "real_colour_spread", "lattice_db", "real_lattice_db")


def best_of(evaluations: Sequence[Line]) -> Line:
    """Return the best of evaluations by what all of them measured; of equal ones the first."""
    rule = next(rule for rule in RULES if all(rule(line) is not None for line in evaluations))
    return min(evaluations, key=lambda line: _value(rule, line))


def is_best(evaluation: Line, earlier: Sequence[Line]) -> bool:
    """Return whether no earlier evaluation is better, of those that measured what decides about this one.

    To be as good is enough: what steering teaches changes no cover that is measured, as nothing is asked of those.
    """
    rule = next(rule for rule in RULES if rule(evaluation) is not None)
    return _value(rule, evaluation) <= min(
        (found for line in earlier if (found := rule(line)) is not None), default=math.inf
    )


def _value(rule: Callable[[Line], float | None], line: Line) -> float:
    value = rule(line)
    assert value is not None  # or else another rule would decide
    return value


def _kid(line: Line) -> float | None:
    return line.get("kid")


def _product(line: Line) -> float | None:
    if any(name not in line for name in PRODUCT) or not min(line["colour_spread"], line["real_colour_spread"]) > 0:
        return None
    colours = abs(math.log(line["colour_spread"] / line["real_colour_spread"]))
    lattice = max(0.0, line["lattice_db"] - line["real_lattice_db"])
    return line["fd_covers"] * max(line["kernel_eyes"], FLOOR) * math.exp(colours) * 2 ** min(lattice / 6, 1000)


def _fd_covers(line: Line) -> float | None:
    return line["fd_covers"]


RULES = (_kid, _product, _fd_covers)
