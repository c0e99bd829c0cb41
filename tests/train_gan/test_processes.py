"""Several processes through the real launcher do what one does."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from gan.untrusted import LARGEST_METRICS
from tests.helpers.runs import command, launch, launch_two, weights
from tests.helpers.serving import free_port


@pytest.mark.parametrize("config", ["tiny", "normalised"])
@pytest.mark.slow
def test_two_processes_through_the_real_launcher_do_what_one_does(
    config: str, tiny_dataset: Path, tmp_path: Path
) -> None:
    normalised = tmp_path / "normalised.yaml"  # by batches, which is each process's own if nobody takes care
    normalised.write_text(
        "{network: dcgan, resolution: 16, loss: logistic, train_batch_size: 8, generator: {width: 8, latent_dim: 8}, "
        "discriminator: {width: 8}, learning_rate: 0.0002, adam_beta1: 0.5, adam_beta2: 0.999}"
    )
    short = ("--total_images", "80", "--config", "tiny" if config == "tiny" else str(normalised))
    one, two = tmp_path / "one", tmp_path / "two"
    assert launch(command(tiny_dataset, one, *short)).returncode == 0
    done = launch_two(command(tiny_dataset, two, *short), genuine=config == "tiny")
    assert done.returncode == 0, done.stderr
    assert json.loads((two / "config.json").read_text())["processes"] == 2
    assert done.stdout.count("done after 80 covers") == 1
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, atol=1e-4, rtol=1e-4, msg=key)


def test_begun_by_one_process_and_continued_by_two_it_is_nearly_the_same_run(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    halfway = ("--resume_from_checkpoint", str(straight / "checkpoints" / "images-0000000400.pt"))
    some_steps = (*halfway, "--total_images", "480")
    assert launch(command(tiny_dataset, tmp_path / "one", *some_steps)).returncode == 0
    done = launch_two(command(tiny_dataset, run, *some_steps))
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text())["processes"] == 2
    one, other = weights(tmp_path / "one"), weights(run)
    assert one["images"] == other["images"] == 480
    farthest = {
        key: (value - other[key]).abs().max().item() for key, value in one.items() if value.is_floating_point()
    }
    print(f"at most {max(farthest.values()):.1e} apart")
    assert 0 < max(farthest.values()) <= 1e-5, {key: gap for key, gap in farthest.items() if gap > 1e-5}


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        ("another recipe", "holds a run with seed 0, not 5"),
        ("no Hub", "--push_to_hub: "),
        ("hurt metrics", "metrics.jsonl"),
    ],
)
def test_what_the_main_process_alone_refuses_both_end_with(
    mistake: str, line: str, tiny_dataset: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, more = shutil.copytree(straight, tmp_path / "run"), []
    if mistake == "another recipe":
        more = ["--seed", "5"]
    elif mistake == "no Hub":
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        more = ["--push_to_hub", "--hub_model_id", "somebody/covers"]
    else:
        (run / "metrics.jsonl").write_bytes(b" " * (LARGEST_METRICS + 1))
    done = launch_two(command(tiny_dataset, run, *more, "--total_images", "1600"))
    first, second = (said for said in done.stderr.splitlines() if said and "%|" not in said)  # which is the bar
    assert done.returncode == 2 and not done.stdout
    assert first == second and first.startswith("train.train_gan: ") and line in first


def test_processes_and_parts_of_a_batch_may_change_on_the_way(
    tiny_dataset: Path, straight: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    halfway = ("--resume_from_checkpoint", str(straight / "checkpoints" / "images-0000000400.pt"))
    done = launch(command(tiny_dataset, run, *halfway, "--total_images", "440", "--gradient_accumulation_steps", "4"))
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text())["gradient_accumulation_steps"] == 4
    done = launch(command(tiny_dataset, run, "--total_images", "480", "--gradient_accumulation_steps", "2"))
    assert done.returncode == 0, done.stderr
    assert weights(run)["images"] == 480
    refused = launch(command(tiny_dataset, run, "--gradient_accumulation_steps", "3"))
    assert refused.returncode == 2 and "8 cannot be shared by 1 processes in 3 parts" in refused.stderr
