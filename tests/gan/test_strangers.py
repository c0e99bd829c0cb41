"""People who have a pipeline folder and nothing else of this project: they load it with diffusers alone, or torch."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import gan
from gan.networks.dcgan import DCGANDiscriminator
from tests.helpers.tiny import TINY, tiny_pipeline


SEEDS = [1, 2, 4294967295]
WITH_DIFFUSERS = """
import importlib.util, os, sys
import numpy
from diffusers import DiffusionPipeline

assert importlib.util.find_spec("gan") is None
assert sys.prefix == os.environ["STRANGER"]
for folder in sys.argv[1:]:
    try:
        DiffusionPipeline.from_pretrained(folder)
        raise SystemExit(f"{folder} was loaded though nobody trusts its code")
    except ValueError as error:
        assert "trust_remote_code" in str(error)
    pipe = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
    more = {"genres": ["jazz", None, "rock"]} if pipe.genres else {}
    if pipe.encoder is not None:
        covers = pipe(seeds=[1, 2], output_type="pt").images
        painted = pipe.synthesis.paint(pipe.encode(covers * 2 - 1))
        numpy.save(f"{os.path.basename(folder)}.painted", painted.numpy(force=True))
    images = pipe(seeds=[1, 2, 4294967295], truncation=0.7, **more).images
    numpy.save(os.path.basename(folder), numpy.stack([numpy.asarray(image) for image in images]))
"""
WITH_TORCH = """
import os, sys

class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("diffusers", "gan", "huggingface_hub", "safetensors"):
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Absent())
import torch

for folder in sys.argv[1:]:
    inputs = torch.load(f"{os.path.basename(folder)}.inputs", weights_only=True)
    generator = torch.export.load(f"{folder}/generator.pt2").module()
    covers = [generator(*(tensor[:n] for tensor in inputs)) for n in (1, 2, 5)]
    torch.save(covers, f"{os.path.basename(folder)}.covers")
assert "diffusers" not in sys.modules
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pipeline folder of every network, without genres and with."""
    parent = tmp_path_factory.mktemp("pipelines")
    for name in TINY:
        gan.save_pipeline(tiny_pipeline(name), parent / name)
        gan.save_pipeline(tiny_pipeline(name, genres=["rock", "jazz"]), parent / f"{name}-genres")
    gan.save_pipeline(tiny_pipeline("painter", encoder=True), parent / "painter-encoder")
    judge = DCGANDiscriminator(resolution=16, width=4)  # which none of them reads
    gan.save_pipeline(tiny_pipeline("dcgan"), parent / "dcgan", discriminators={"discriminator": judge})
    return {folder.name: folder for folder in sorted(parent.iterdir())}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that has the libraries, but not this project."""
    folder = tmp_path_factory.mktemp("stranger") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (libraries,) = folder.glob("lib/python*/site-packages")
    (libraries / "borrowed.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    return folder / "bin" / "python"


def run(python: Path, code: str, folders: dict[str, Path], cwd: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    mine = {"HF_HOME": str(cwd / "home"), "STRANGER": str(python.parents[1])}
    command = [python, "-P", "-c", code, *folders.values()]
    done = subprocess.run(command, cwd=cwd, env=kept | mine, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_three_lines_with_diffusers_alone(folders: dict[str, Path], python: Path, tmp_path: Path):
    run(python, WITH_DIFFUSERS, folders, tmp_path)
    for name, folder in folders.items():
        genres = ["jazz", None, "rock"] if name.endswith("genres") else None
        ours = gan.load_pipeline(folder)(seeds=SEEDS, truncation=0.7, genres=genres).images
        np.testing.assert_array_equal(
            np.load(tmp_path / f"{name}.npy"), np.stack([np.asarray(image) for image in ours])
        )

    pipe = gan.load_pipeline(folders["painter-encoder"])
    covers = pipe(seeds=[1, 2], output_type="pt").images * 2 - 1
    painted = pipe.synthesis.paint(pipe.encode(covers)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "painter-encoder.painted.npy"), painted, atol=1e-5)


def test_generator_pt2_with_torch_alone(folders: dict[str, Path], python: Path, tmp_path: Path):
    latents = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([2, 0, 1, 1, 2])
    inputs = {name: (latents, labels) if name.endswith("genres") else (latents,) for name in folders}
    for name in folders:
        torch.save(inputs[name], tmp_path / f"{name}.inputs")
    run(python, WITH_TORCH, folders, tmp_path)
    for name, folder in folders.items():
        generator = gan.load_pipeline(folder).synthesis
        for covers in torch.load(tmp_path / f"{name}.covers", weights_only=True):
            expected = generator(*(tensor[: len(covers)] for tensor in inputs[name]))
            torch.testing.assert_close(covers, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [*TINY, "r3gan-genres"])
def test_nothing_in_the_folder_is_a_pickle_or_tells_where_it_was_made(folders: dict[str, Path], name: str):
    files = {path.name: path.read_bytes() for path in folders[name].rglob("*") if path.is_file()}
    assert not [file for file in files if file.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt"))]
    with zipfile.ZipFile(folders[name] / "generator.pt2") as archive:
        files |= {entry: archive.read(entry) for entry in archive.namelist()}
    for file, content in files.items():
        # torch's own pickles are zip files; generator.pt2 is one too, of plain parts
        assert file == "generator.pt2" or not content.startswith((b"\x80", b"PK")), file
        for place in (Path(gan.__file__).parents[1], Path(torch.__file__).parents[1]):
            assert str(place).encode() not in content, file
