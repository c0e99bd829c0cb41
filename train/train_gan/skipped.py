"""Updates that were skipped because their gradient was not finite: how many, and when there are too many."""

import torch

from train.cli import UserError


IN_A_ROW = 10  # skipped updates after which no good one is to be expected any more
NO_GRADIENT = (
    "{} updates in a row had no finite gradient and were skipped; start again in a new --output_dir, or go on there "
    "from a checkpoint from before it went wrong (--resume_from_checkpoint), with a lower --learning_rate or "
    "--mixed_precision no"
)


class SkippedUpdates:
    """Count updates that were skipped because their gradient was not finite.

    On the device: to ask at every step whether a number there is finite would make the program wait for the GPU.
    """

    def __init__(self, device: torch.device):
        # since `pop_count`, in a row until now, in a row at most
        self.count, self.in_a_row, self.longest = torch.zeros(3, dtype=torch.int64, device=device)

    def take(self, measured: dict[str, torch.Tensor]) -> None:
        """Count a step by what it measured: its update was skipped where the norm of a gradient is not finite."""
        if norms := [norm for name, norm in measured.items() if name.startswith("gradient_norm")]:
            bad = ~torch.stack(norms).isfinite().all()
            self.count, self.in_a_row = self.count + bad, (self.in_a_row + 1) * bad
            self.longest = torch.maximum(self.longest, self.in_a_row)

    def pop_count(self) -> int:
        """Return how many there were since the last call."""
        count, self.count = int(self.count), torch.zeros_like(self.count)
        return count

    def check(self) -> None:
        """Raise UserError where so many in a row were skipped that the run learns no more."""
        if (longest := int(self.longest)) >= IN_A_ROW:
            raise UserError(NO_GRADIENT.format(longest), 1)
