"""Several processes, on one machine or many, that prepare one dataset together.

Each lists all files of the pile and judges every N-th part of them into a folder that all of them see; the one that
ends last makes the dataset. A part's name says what it was made from, and the folder says what all of them were told,
so nothing else need pass between them, and one that died is simply started again.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.cli import UserError
from train.files import lock


# Where launchers write a process's number and how many there are: torchrun and its like, then Slurm's `srun`.
VARIABLES = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))
LARGEST_WORLD = 100_000
PLAN = "ranks.json"  # in the folder that they share: what all of them were told


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
        raise UserError(f"{place}: must be whole numbers from 0 on, not {numbers[0]} and {numbers[1]}")
    share = Share(*map(int, numbers))
    if not (1 <= share.world_size <= LARGEST_WORLD and share.rank < share.world_size):
        raise UserError(f"{place}: {share.rank} of {share.world_size} is impossible; ranks count from 0")
    return share, "" if place.startswith("--") else place


def unheard_launcher(share: Share, environment: Mapping[str, str]) -> str:
    """Return in a line what a launcher of several processes says where the flags say something else; "" elsewhere."""
    for names in VARIABLES:
        rank, world_size = (environment.get(name, "") for name in names)
        if rank.isdecimal() and world_size.isdecimal() and int(world_size) > 1:
            if Share(int(rank), int(world_size)) == share:
                return ""
            said = f"{', '.join(names)}, which say {rank} of {world_size}"
            return f"--rank {share.rank} of {share.world_size} is followed, not {said}"
    return ""


def agree(work: Path, plan: Mapping[str, Any]) -> None:
    """Note in the folder that all ranks share what the first of them was told, and compare it with what this one was.

    Args:
        work: the folder.
        plan: by name all that decides about the dataset, and how many ranks there are, as JSON has it.

    Raises:
        UserError: this rank was told something else, so its parts, or the dataset that it would make, would not fit.
    """
    with open(work / PLAN, "a+b") as file:
        while not lock(file):  # another rank has it for a moment
            time.sleep(0.01)
        file.seek(0)
        try:
            first = dict(json.loads(file.read()))
        except (ValueError, TypeError):  # this one is the first; or that one was killed as it wrote
            file.truncate(0)
            file.write(json.dumps(plan).encode())
            return
    for name, value in json.loads(json.dumps(plan)).items():
        if first.get(name) != value:
            said = f"{json.dumps(value)} here, and {json.dumps(first.get(name))} where the ranks of this folder began"
            mend = f"say the same, or delete {work / PLAN} when none of them works any more"
            raise UserError(f"{name} is {said}; {mend}")
