"""Hold the programs: prepare, train_gan, evaluate, copies, share, ship, benchmark, and what they share."""

import gan  # noqa: F401, sets how threads wait, before torch is loaded
