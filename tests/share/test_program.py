"""Sharing, from the program to a stranger's process: the real clients against a Hub of the tests' own."""

import io
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from huggingface_hub import RepoCard

import gan
from tests.helpers import programs
from tests.helpers.hub_server import Hub
from tests.helpers.tiny import tiny_pipeline


ROOT = Path(__file__).parents[2]
SAVE = """
import numpy, sys
numpy.save(sys.argv[1], numpy.stack([numpy.asarray(image) for image in pipe(seeds=[1, 2]).images]))
"""


@dataclass
class Shared:
    """A generator after `train.share model`, and what strangers see of it."""

    folder: Path
    next_folder: Path
    home: Path
    output: str


def run(
    environment: dict[str, str], *arguments: str | Path, folder: Path = ROOT, genuine: bool = False
) -> subprocess.CompletedProcess:
    return programs.run([sys.executable, *arguments], folder=folder, environment=environment, genuine=genuine)


def covers(pipeline: gan.AlbumCoverPipeline) -> np.ndarray:
    return np.stack([np.asarray(image) for image in pipeline(seeds=[1, 2]).images])


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def shared(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Weights and config alone on disk, as gan/pretrained is; the branch `next` on the Hub holds another generator."""
    folder = tmp_path_factory.mktemp("shared")
    first, other = folder / "first", folder / "other"
    for seed, target in enumerate((first, other)):
        gan.save_pipeline(tiny_pipeline("r3gan", seed), target, for_strangers=False)
    to = ("--repo_id", "user/covers", "--license", "mit", "--onnx")
    done = run(hub.environment(folder / "sharer"), "-m", "train.share", "model", first, *to, genuine=True)
    assert done.returncode == 0, done.stderr
    files = {p.relative_to(other).as_posix(): p.read_bytes() for p in other.rglob("*") if p.is_file()}
    hub.repos["model", "user/covers"].commit(files, "another", "next")
    return Shared(first, other, folder / "stranger", done.stdout)


def test_the_last_line_says_where_and_what(hub: Hub, shared: Shared):
    files = hub.repos["model", "user/covers"].files
    last = shared.output.splitlines()[-1]
    assert last.startswith(f"{hub.url}/user/covers: sent {len(files)} files, ")
    assert set(files) == {
        "README.md",
        "covers.png",
        "generator.onnx",
        "generator.pt2",
        "model_index.json",
        "pipeline.py",
        "synthesis/album_cover_gan_r3gan.py",
        "synthesis/config.json",
        "synthesis/diffusion_pytorch_model.safetensors",
    }
    assert hub.repos["model", "user/covers"].messages == ["initial commit", "Share the generator", "another"]


def test_the_lines_of_the_card_run_as_printed_for_a_stranger(hub: Hub, shared: Shared, tmp_path: Path):
    """Each block in a process of its own, with nothing but what the card says."""
    card = hub.repos["model", "user/covers"].files["README.md"].decode()
    diffusers, torch_alone, onnx = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len([line for line in diffusers.splitlines() if line]) == 3
    for code, more in (
        (diffusers, SAVE),
        (torch_alone, "assert covers.shape == (4, 3, 16, 16)"),
        (onnx, "assert covers.shape == (4, 3, 16, 16) and covers.dtype == 'float32'"),
    ):
        done = run(hub.environment(shared.home, token=None), "-P", "-c", code + more, "covers.npy", folder=tmp_path)
        assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "covers.npy"), covers(gan.load_pipeline(shared.folder)))


@pytest.fixture(scope="module")
def loaded(hub: Hub, shared: Shared) -> Path:
    """What gan.load_pipeline draws from the Hub: first.npy of main, other.npy of the branch."""
    code = "import gan\n"
    for name, revision in (("first", "None"), ("other", "'next'")):
        code += f"pipe = gan.load_pipeline('user/covers', revision={revision})\n"
        code += SAVE.replace("sys.argv[1]", f"sys.argv[1] + '/{name}.npy'")
    out = shared.home.parent
    done = run(hub.environment(shared.home, token=None), "-c", code, out)
    assert done.returncode == 0, done.stderr
    return out


def test_our_own_loader_takes_it_from_the_hub_at_any_revision(shared: Shared, loaded: Path):
    first, other = np.load(loaded / "first.npy"), np.load(loaded / "other.npy")
    np.testing.assert_array_equal(first, covers(gan.load_pipeline(shared.folder)))
    np.testing.assert_array_equal(other, covers(gan.load_pipeline(shared.next_folder)))
    assert not np.array_equal(first, other)


def test_then_it_loads_with_no_network(hub: Hub, shared: Shared, loaded: Path, tmp_path: Path):
    code = "import gan\npipe = gan.load_pipeline('user/covers')\n" + SAVE
    code += "try: gan.load_pipeline('user/unknown')\nexcept gan.PipelineError as error: print(error)\n"
    offline = hub.environment(shared.home, token=None, HF_HUB_OFFLINE="1")
    before = len(hub.requests)
    done = run(offline, "-c", code, tmp_path / "covers.npy")
    assert done.returncode == 0, done.stderr
    assert len(hub.requests) == before
    np.testing.assert_array_equal(np.load(tmp_path / "covers.npy"), np.load(loaded / "first.npy"))
    assert done.stdout.startswith("user/unknown: cannot be loaded from the Hub: ") and done.stdout.count("\n") == 1


def test_a_shared_dataset_loads_and_can_be_prepared_anew(hub: Hub, tiny_dataset: Path, tmp_path: Path):
    environment = hub.environment(tmp_path / "home")
    done = run(environment, "-m", "train.share", "dataset", tiny_dataset, "--repo_id", "user/covers-16")
    assert done.returncode == 0, done.stderr
    files = {p.relative_to(tiny_dataset).as_posix(): p.read_bytes() for p in tiny_dataset.rglob("*") if p.is_file()}
    sent = dict(hub.repos["dataset", "user/covers-16"].files)
    card, own = (RepoCard(contents["README.md"].decode()) for contents in (sent, files))
    assert sent == files | {"README.md": sent["README.md"]}
    assert card.data.to_dict() == own.data.to_dict()
    # the same lines; one more notes for later uploads what the program wrote
    assert [line for line in card.text.splitlines() if line][:-1] == [line for line in own.text.splitlines() if line]

    code = "from datasets import load_dataset\nfor name, split in load_dataset('user/covers-16').items():\n"
    code += "    print(name, len(split), *split.column_names, split[0]['image'].size)\n"
    code += "for name, split in load_dataset('user/covers-16', streaming=True).items():\n"
    code += "    print(name, sum(1 for _ in split), *next(iter(split)), next(iter(split))['image'].size)"
    stranger = hub.environment(tmp_path / "stranger", token=None)
    done = run(stranger, "-c", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    train, validation, *streamed = done.stdout.splitlines()
    assert streamed == [train, validation]
    assert train.startswith("train ") and train.endswith(" image source sha256 phash (16, 16)")
    assert int(train.split()[1]) + int(validation.split()[1]) == 120

    # what the Hub's viewer goes by: the card says which files are which split, each file which column is a picture
    (config,) = RepoCard(files["README.md"].decode()).data["configs"]
    for split in config["data_files"]:
        matching = [name for name in files if fnmatch(name, split["path"])]
        for name in matching:
            features = json.loads(pq.read_schema(io.BytesIO(files[name])).metadata[b"huggingface"])["info"]["features"]
            assert features["image"] == {"_type": "Image"}
        assert matching

    prepare = ["-m", "train.prepare", "user/covers-16", "--output_dir", tmp_path / "again", "--resolution", "16"]
    done = run(stranger, *prepare, "--num_workers", "0")
    assert done.returncode == 0, done.stderr
    assert "120 covers" in done.stdout.splitlines()[-1]


def test_a_wrong_token_is_one_line_without_the_token(hub: Hub, shared: Shared, tmp_path: Path):
    before = dict(hub.repos)
    environment = hub.environment(tmp_path, token="hf_wrong")
    done = run(environment, "-m", "train.share", "model", shared.folder, "--repo_id", "user/refused")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("train.share: user/refused: the Hub does not know the token; ")
    assert done.stderr.count("\n") == 1 and "hf_wrong" not in done.stderr
    assert hub.repos == before


def test_an_interrupted_upload_goes_on(hub: Hub, tmp_path: Path):
    """The connection is cut in the middle of the fourth large file and the program killed; then the same command."""
    folder = tmp_path / "covers-8"
    (folder / "data").mkdir(parents=True)
    (folder / "report.json").write_text('{\n "program": "train.prepare"\n}')
    sizes = [1_000_000 + number for number in range(8)]
    for size in sizes:
        (folder / "data" / f"{size}.parquet").write_bytes(random.Random(size).randbytes(size))
    share = [sys.executable, "-m", "train.share", "dataset", folder, "--repo_id", "user/covers-8"]
    environment = hub.environment(tmp_path / "home")

    hub.large.clear()
    hub.received, hub.cut_after = 0, 3
    cut = programs.start(share, environment=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(hub.large) < 3 or hub.received < sum(map(len, hub.large.values())) + 10_000:
        assert cut.poll() is None, "the upload was over too soon"
        time.sleep(0.01)
    cut.kill()
    cut.wait()
    repo = hub.repos["dataset", "user/covers-8"]
    stored = sum(map(len, hub.large.values()))
    assert 0 < stored < sum(sizes) and repo.files == {}, "nobody may see half of it"

    hub.received, hub.cut_after = 0, None
    done = run(environment, *share[1:])
    assert done.returncode == 0, done.stderr
    assert hub.received == sum(sizes) - stored
    assert {name: len(content) for name, content in repo.files.items() if name.endswith(".parquet")} == {
        f"data/{size}.parquet": size for size in sizes
    }
    print(f"{stored:,} of {sum(sizes):,} bytes were there; the second time {hub.received:,} were sent")
