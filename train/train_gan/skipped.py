"""Updates that were skipped because their gradient was not finite, counted where nobody has to wait for it."""

import torch

from train.cli import UserError


IN_A_ROW = 10  # after which no good one is to be expected any more
NO_GRADIENT = (
    "{} updates in a row had no finite gradient and were skipped; start again in a new --output_dir, or go on there "
    "from a checkpoint from before it went wrong (--resume_from_checkpoint), with a lower --learning_rate or "
    "--mixed_precision no"
)


class SkippedUpdates:
    """Counts on the device: to ask at every step whether a number there is finite would stop a GPU each time."""

    def __init__(self, device: torch.device):
        # since `forget`, in a row until now, in a row at most
        self.count, self.in_a_row, self.longest = torch.zeros(3, dtype=torch.int64, device=device)

    def take(self, measured: dict[str, torch.Tensor]) -> None:
        """What one step measured: its update was skipped where a norm of a gradient is not finite."""
        if norms := [norm for name, norm in measured.items() if name.startswith("gradient_norm")]:
            bad = ~torch.stack(norms).isfinite().all()
            self.count, self.in_a_row = self.count + bad, (self.in_a_row + 1) * bad
            self.longest = torch.maximum(self.longest, self.in_a_row)

    def forget(self) -> int:
        """How many there were since the last time."""
        count, self.count = int(self.count), torch.zeros_like(self.count)
        return count

    def check(self) -> None:
        """Raises UserError where so many in a row were skipped that the run learns no more."""
        if (longest := int(self.longest)) >= IN_A_ROW:
            raise UserError(NO_GRADIENT.format(longest), 1)
