"""Hold the programs: prepare, train_gan, evaluate, copies, share, ship, benchmark, and what they share."""

import os

import gan  # noqa: F401, sets how threads wait, before torch is loaded


# the package `datasets` tells a host of statistics of each dataset that it opens; the setting is read as it is loaded
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
