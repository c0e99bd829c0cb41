"""What all programs of `train` do alike: one line for a mistake, whatever a name looks like, and for a lost output."""

import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import httpx
import pytest

import app
from tests.helpers import programs
from tests.helpers.drawn import draw_dataset
from tests.helpers.serving import free_port


ROOT = Path(__file__).parents[1]
LONG = "x" * 300
TRAIN = ("train.train_gan.__main__", "--config", "tiny", "--mixed_precision", "no", "--dataset_name", "DATASET")
TRAIN += ("--output_dir", "OUT")
PREPARE = ("train.prepare.__main__", "PILE", "--output_dir", "OUT", "--resolution", "16", "--num_workers", "0")
SHARE = ("train.share.__main__",)
MEASURE = ("train.evaluate", "--dataset_name", "DATASET", "--model")
COMMANDS = {
    "config": (*TRAIN, "--config", LONG),
    "config file": (*TRAIN, "--config", f"{LONG}.yaml"),
    "dataset": (*TRAIN, "--dataset_name", LONG),
    "dataset of somebody": (*TRAIN, "--dataset_name", f"{LONG}/y"),
    "run": (*TRAIN, "--output_dir", LONG),
    "start": (*TRAIN, "--start_from", LONG),
    "grow": (*TRAIN, "--grow_from", LONG),
    "autoencoder": (*TRAIN, "--autoencoder", LONG),
    "checkpoint": (*TRAIN, "--resume_from_checkpoint", LONG),
    "source": (*PREPARE, LONG),
    "output": (*PREPARE, "--output_dir", LONG),
    "labels": (*PREPARE, "--labels", LONG),
    "exclude": (*PREPARE, "--exclude", LONG),
    "model": (*SHARE, "model", LONG, "--repo_id", "user/x", "--dry_run"),
    "covers": (*SHARE, "dataset", LONG, "--repo_id", "user/x", "--dry_run"),
    "repository": (*SHARE, "model", "MODEL", "--repo_id", f"user/{LONG}", "--dry_run"),
    "evaluated": (*MEASURE, LONG),
    "evaluated of somebody": (*MEASURE, f"user/{LONG}"),
    "measured": (*MEASURE, "MODEL", "--dataset_name", LONG),
    "copies": ("train.copies", "--model", "MODEL", "--dataset_name", "DATASET", "--output_dir", LONG),
    "survey": ("train.survey", "--model", LONG),
    "ship": ("train.ship", LONG),
    "features": ("train.train_features", "--dataset_name", "DATASET", "--output_file", LONG),
}


def typed(command: tuple[str, ...], tmp_path: Path, dataset: Path, model: Path) -> list[str]:
    places = {"DATASET": dataset, "MODEL": model, "OUT": tmp_path / "out", "PILE": tmp_path / "pile"}
    return [str(places.get(word, word)) for word in command]


@pytest.mark.parametrize("which", COMMANDS)
def test_a_name_of_300_characters_is_one_line(
    which: str, tiny_dataset: Path, tiny_pipeline_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_dataset(tmp_path / "pile", 2)
    module, *arguments = typed(COMMANDS[which], tmp_path, tiny_dataset, tiny_pipeline_folder)
    program = module.removesuffix(".__main__")
    ended = programs.call(import_module(module).main, program, *arguments)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"{program}") and not ended.stdout


@pytest.mark.parametrize("name", (LONG, f"new/{LONG}", "file", "others"))
def test_a_folder_that_cannot_be_a_run_is_refused_before_a_cover_is_decoded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("covers", "others"):
        Path(place).mkdir()
        Path(place, "no-picture.jpg").write_bytes(b"none")
    Path("file").touch()
    module, *arguments = typed((*TRAIN, "--output_dir", name), tmp_path, tmp_path / "covers", tmp_path)
    ended = programs.call(import_module(module).main, "train.train_gan", *arguments)
    assert ended.returncode == 2 and name[-4:] in ended.stderr and "image" not in ended.stderr, ended.stderr


@pytest.mark.parametrize("name", ("a\nb", "a\x1b[31mb", "a\u2028b", "a\x00b"))
def test_a_name_that_would_be_two_lines_is_one(name: str, tmp_path: Path) -> None:
    for module, *arguments in (
        ("train.train_gan.__main__", "--config", name, "--dataset_name", "x", "--output_dir", tmp_path / "out"),
        ("train.prepare.__main__", "--output_dir", tmp_path / "out", name),
        ("train.prepare.__main__", "--unknown", name, "--output_dir", tmp_path / "out"),
    ):
        ended = programs.call(import_module(module).main, module, *arguments)
        assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1, ended.stderr
        assert name not in ended.stderr and ended.stderr.isascii() and ended.stderr.count("\x1b") == 0


@pytest.mark.parametrize("name", (LONG, f"{LONG}/y", "a\nb", "a\0b"))
def test_the_page_shows_what_ships_instead_of_what_no_file_can_be(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Shown instead" in app.choose_model(name, None)["notice"]
    assert app.main(["--run", name, "--port", free_port()]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 2 and "Traceback" not in said


WORK = {
    "prepare": ("train.prepare", "PILE", "--output_dir", "OUT", "--resolution", "16", "--num_workers", "1"),
    "share": ("train.share", "model", "MODEL", "--repo_id", "user/x", "--dry_run"),
    "train_gan": ("train.train_gan", "--config", "tiny", "--dry_run"),
    "help": ("train.prepare", "--help"),
    "mistake": ("train.prepare", "nowhere", "--output_dir", "OUT"),
    "no argument": ("train.prepare",),
}


MISTAKES = {"mistake": "no such folder or archive", "no argument": "arguments are required"}
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("which", WORK)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_an_output_that_is_full_is_one_line(which: str, tmp_path: Path, tiny_pipeline_folder: Path) -> None:
    draw_dataset(tmp_path / "pile", 3)
    command = [sys.executable, "-m", *typed(WORK[which], tmp_path, tmp_path, tiny_pipeline_folder)]
    with open("/dev/full", "w") as full:
        ended = programs.run(command, environment=BUFFERED, stdout=full.fileno(), genuine=which == "prepare")
    last = ended.stderr.splitlines()[-1]
    if which in MISTAKES:  # which are said elsewhere
        assert ended.returncode == 2 and MISTAKES[which] in last
    else:
        assert ended.returncode == 1 and last == f"{WORK[which][0]}: standard output: No space left on device"
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr
    assert (tmp_path / "out" / "report.json").exists() == (which == "prepare")  # the work is done


@pytest.mark.parametrize("which", WORK)
def test_a_reader_that_has_left_is_no_traceback(which: str, tmp_path: Path, tiny_pipeline_folder: Path) -> None:
    draw_dataset(tmp_path / "pile", 3)
    command = [sys.executable, "-m", *typed(WORK[which], tmp_path, tmp_path, tiny_pipeline_folder)]
    reading, writing = os.pipe()
    os.close(reading)
    ended = programs.run(command, environment=BUFFERED, stdout=writing, genuine=which == "help")
    assert ended.returncode == (2 if which in MISTAKES else 1)
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr and "Broken" not in ended.stderr
    if which == "help":
        unbuffered = BUFFERED | {"PYTHONUNBUFFERED": "1"}
        ended = programs.run(command, environment=unbuffered, stdout=writing, genuine=True)
        assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr and "Broken" not in ended.stderr
    os.close(writing)
    assert (tmp_path / "out" / "report.json").exists() == (which == "prepare")


def test_without_any_output_the_work_is_done(tmp_path: Path, tiny_pipeline_folder: Path) -> None:
    draw_dataset(tmp_path / "pile", 3)
    command = [sys.executable, "-m", *typed(WORK["prepare"], tmp_path, tmp_path, tiny_pipeline_folder)]
    shell = ["sh", "-c", 'exec "$0" "$@" >&- 2>&-', *command]
    ended = subprocess.run(shell, cwd=ROOT, env=BUFFERED, timeout=300)
    assert ended.returncode == 0 and (tmp_path / "out" / "report.json").exists()


PAGES = {"help": ["--help"], "page": [], "runs": ["--run", "RUNS"]}


@pytest.mark.parametrize(
    ("which", "redirection"),
    (("help", "> /dev/full 2> /dev/full"), ("page", "> /dev/full"), ("runs", "> /dev/full"), ("help", "> /dev/full")),
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_page_whose_address_nobody_learns_ends_in_one_line(which: str, redirection: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text('{"kind": "training", "images": 8}\n')
    port = [] if which == "help" else ["--port", free_port()]
    arguments = [str(tmp_path) if word == "RUNS" else word for word in PAGES[which]]
    command = ["sh", "-c", f'exec "$0" "$@" {redirection}', sys.executable, "app.py", *arguments, *port]
    ended = subprocess.run(command, cwd=ROOT, env=BUFFERED, capture_output=True, text=True, timeout=300)
    told = "app.py: standard output: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, "" if "2>" in redirection else told)


def test_a_page_without_outputs_is_a_page() -> None:
    port = free_port()
    command = ["sh", "-c", 'exec "$0" "$@" >&- 2>&-', sys.executable, "app.py", "--port", port]
    page = subprocess.Popen(command, cwd=ROOT, env=BUFFERED)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200
                break
            except httpx.TransportError:
                assert page.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        page.terminate()
    assert page.wait(60) in (0, 130)  # or while it was still starting
