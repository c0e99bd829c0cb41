"""Several processes, on one machine or many, that prepare one dataset together.

Each lists all files of the pile and judges every N-th part of them into a folder that all of them see; the one that
ends last makes the dataset. A part's name says what it was made from, so nothing need pass between them, and one that
died is simply started again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.cli import UserError


# Where launchers write a process's number and how many there are: torchrun and its like, then Slurm's `srun`.
VARIABLES = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))
LARGEST_WORLD = 100_000


@dataclass(frozen=True)
class Share:
    """Say which parts of a pile are this process's: every `world_size`-th, beginning with number `rank`."""

    rank: int = 0
    world_size: int = 1

    def takes(self, number: int) -> bool:
        """Return whether the part of this number is made here."""
        return number % self.world_size == self.rank


ALONE = Share()


def read_share(rank: int | None, world_size: int | None, environment: Mapping[str, str]) -> tuple[Share, str]:
    """Return this process's share, and the variables that say so; "" where the flags do, or nobody.

    Raises:
        UserError: the numbers do not go together.
    """
    place = "--rank, --world_size"
    numbers: list[Any] = [rank, world_size]
    if rank is None and world_size is None:
        for names in VARIABLES:
            if all(environment.get(name) for name in names):
                place, numbers = ", ".join(names), [environment[name] for name in names]
                break
        else:
            return ALONE, ""
    elif world_size == 1:
        numbers = [rank or 0, 1]
    if None in numbers:
        raise UserError("--rank and --world_size go together")
    if not all(str(number).isdecimal() for number in numbers):
        raise UserError(f"{place}: must be whole numbers, not {numbers[0]} and {numbers[1]}")
    share = Share(*map(int, numbers))
    if not (1 <= share.world_size <= LARGEST_WORLD and share.rank < share.world_size):
        raise UserError(f"{place}: {share.rank} of {share.world_size} is impossible; ranks count from 0")
    return share, "" if place.startswith("--") else place
