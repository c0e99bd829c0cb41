"""What goes wrong with GANs, in words: what is seen, and what to change. The trainer and the page of runs say it."""

import math
from collections import deque
from collections.abc import Mapping
from statistics import median


LINES = 20  # of metrics.jsonl that something must last before it is said
FEWEST = 4  # that tell what is usual of a gradient, and that a loss is far off
# A loss of the generator at which it learns nothing; a discriminator that wins outright makes 5 to 60 of it.
FAR = 100
ALL_PAIRS = 0.99  # share of pairs that the discriminator tells apart when it has won
FEW_DIFFERENCES = 0.5  # of what held-out covers differ from one another


class Health:
    """Complain, in words, about what is logged; each complaint comes once, until it has passed and comes again.

    Args:
        penalised: whether the recipe has a gradient penalty, which could be raised.
        critic: whether the discriminator is one of Wasserstein's, which is to tell all pairs apart (Arjovsky et al.
            2017, section 3): the generator learns from it all the same.
    """

    def __init__(self, penalised: bool = True, critic: bool = False):
        self.critic = critic
        self.weaken = "raise gradient_penalty_weight or augmentation" if penalised else "raise augmentation"
        self.spread = "raise gradient_penalty_weight" if penalised else "choose a recipe with a gradient penalty"
        self.history: deque[dict[str, float]] = deque(maxlen=LINES)
        self.said: set[str] = set()

    def look(self, values: dict[str, float]) -> list[str]:
        """Look at a line of losses.

        Args:
            values: `loss_g`, `pair_accuracy` and `gradient_norm_d` among them, all finite.

        Returns:
            New complaints, a line each.
        """
        before = list(self.history)
        self.history.append(values)
        full = len(before) == LINES
        lost = full and not self.critic and all(line["pair_accuracy"] > ALL_PAIRS for line in self.history)
        usual = median(abs(line["loss_g"]) for line in before) if full else math.inf
        far = len(before) >= FEWEST - 1 and all(abs(line["loss_g"]) > FAR for line in list(self.history)[-FEWEST:])
        norm = median(line["gradient_norm_d"] for line in before) if len(before) >= FEWEST else math.inf
        return self._new(
            {
                f"the discriminator tells all pairs apart, so the generator learns little: {self.weaken} "
                "in the recipe, or lower --learning_rate": lost,
                f"the generator's loss is above {FAR}, where it learns nothing: start again in a new --output_dir "
                "with a lower --learning_rate": far and not self.critic,
                "the generator's loss is 20 times what it was: if it does not come back, go on from an earlier "
                "checkpoint in a new --output_dir with a lower --learning_rate": abs(values["loss_g"])
                > 20 * max(usual, 1.0),
                # seen after 125 and 400 calm steps, at a gamma of 100, an adam_beta2 of 0.99 and rates from 0.001 on
                "the discriminator's gradient is 100 times what it was: if it does not come back, go on from an "
                "earlier checkpoint in a new --output_dir with a lower --learning_rate": values["gradient_norm_d"]
                > 100 * norm,
            }
        )

    def look_at_covers(self, generated: float, held_out: float) -> list[str]:
        """Look at an evaluation: at the pairwise distances of generated and of held-out covers, in grey levels."""
        return self._new(
            {
                "generated covers differ from each other less than half as much as real ones do: either the run is "
                f"young, or the generator collapses; if it lasts, {self.spread}": generated
                < FEW_DIFFERENCES * held_out
            }
        )

    def replay(self, line: Mapping[str, float]) -> list[str]:
        """Return what the trainer complained of when it wrote this line of metrics.jsonl, all of them read in order.

        Args:
            line: its finite numbers, by name.
        """
        found = []
        if line.keys() >= {"loss_g", "pair_accuracy", "gradient_norm_d"}:
            found += self.look(dict(line))
        if line.keys() >= {"pairwise_distance", "real_pairwise_distance"}:
            found += self.look_at_covers(line["pairwise_distance"], line["real_pairwise_distance"])
        if skipped := line.get("skipped_updates"):
            found.append(f"{skipped:.0f} updates had no finite gradient and were skipped")
        return found

    def _new(self, complaints: dict[str, bool]) -> list[str]:
        new = [line for line, holds in complaints.items() if holds and line not in self.said]
        for line, holds in complaints.items():
            (self.said.add if holds else self.said.discard)(line)
        return new
