"""What several tests share: no network, small caches of their own, a tiny dataset."""

import os
import sys
from pathlib import Path

import pytest


# before the first import of a library that reads them
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


@pytest.fixture(scope="session", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory):
    """Nothing that a test decodes or downloads stays behind, nor comes from an earlier run."""
    import datasets
    import torch

    torch.set_num_threads(1)  # tiny networks: a second thread costs more than it does
    home = tmp_path_factory.mktemp("hf-home")
    os.environ["HF_HOME"] = str(home)  # for the programs that tests start
    datasets.config.HF_DATASETS_CACHE = home / "datasets"
    yield


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 drawn covers of 16 px, prepared by the real program."""
    import subprocess

    from drawn import draw_dataset

    folder = tmp_path_factory.mktemp("tiny")
    draw_dataset(folder / "pile", 120, 32)
    more = "--resolution 16 --validation_fraction 0.25 --num_workers 1".split()
    prepare = [sys.executable, "-m", "train.prepare", folder / "pile", "--output_dir", folder / "covers-16", *more]
    subprocess.run(prepare, cwd=Path(__file__).parent.parent, check=True, capture_output=True)
    return folder / "covers-16"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """In CI nothing may be missing: there a test that is skipped has failed."""
    report = yield
    if os.environ.get("CI") and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
    return report
