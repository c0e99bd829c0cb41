"""The generator as an ONNX file."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import gan
from gan.errors import HubError
from gan.pipeline import latents_from_seeds
from tests.helpers import programs
from tests.helpers.sharing import tiny_run
from tests.helpers.tiny import TINY, tiny_pipeline
from train.share.hub import PROJECT, upload_model
from train.share.onnx import TOLERANCE, export_onnx


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("genres", [[], ["rock", "jazz"]], ids=["plain", "genres"])
def test_onnxruntime_draws_what_pytorch_draws_in_any_batch(name: str, genres: list[str], tmp_path: Path):
    generator = tiny_pipeline(name, genres=genres).synthesis
    assert export_onnx(generator, tmp_path / "generator.onnx") <= TOLERANCE
    assert [file.name for file in tmp_path.iterdir()] == ["generator.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx")
    latents = latents_from_seeds(list(range(5)), 10)
    for some in (latents, latents[:1]):
        inputs = {"latents": some} | ({"labels": torch.arange(len(some)) % 3} if genres else {})
        (covers,) = session.run(["covers"], {name: tensor.numpy() for name, tensor in inputs.items()})
        np.testing.assert_allclose(covers, generator(*inputs.values()).detach(), rtol=1e-5, atol=1e-3)
    content = (tmp_path / "generator.onnx").read_bytes()
    for place in (PROJECT, Path(torch.__file__).parents[1]):
        assert str(place).encode() not in content


def test_the_same_generator_gives_the_same_file(tmp_path: Path):
    for name in ("a", "b"):
        export_onnx(tiny_pipeline("r3gan").synthesis, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class Moody(torch.nn.Module):
    """A generator whose exported program is not what it computes: it knows when it is being exported."""

    def __init__(self):
        super().__init__()
        self.config = type("Config", (), {"latent_dim": 10})

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return latents + (0.001 if torch.compiler.is_exporting() else 0)


def test_a_file_that_draws_something_else_is_refused(tmp_path: Path):
    with pytest.raises(HubError, match=r"^the ONNX file draws other covers than PyTorch: 0\.000\d apart"):
        export_onnx(Moody(), tmp_path / "generator.onnx")


def test_it_is_sent_where_it_is_asked_for_and_dropped_where_it_is_not(hub, tmp_path: Path):
    folder = tiny_run(tmp_path / "run")
    upload_model(folder, "user/covers", onnx=True)
    repo = hub.repos["model", "user/covers"]
    readme = repo.files["README.md"].decode()
    assert "generator.onnx" in repo.files and "onnxruntime" in readme and "\n- onnx\n" in readme
    upload_model(folder, "user/covers")
    assert "generator.onnx" not in repo.files and "onnx" not in repo.files["README.md"].decode()


def test_missing_packages_are_named_in_one_line(tmp_path: Path):
    gan.save_pipeline(tiny_pipeline("dcgan"), tmp_path / "pipeline", for_strangers=False)
    hide = "import sys; sys.modules |= dict.fromkeys(('onnx', 'onnxscript')); "
    start = "from train import cli; from train.share import __main__ as share; cli.run(share.main, 'train.share')"
    arguments = ["model", tmp_path / "pipeline", "--repo_id", "user/covers", "--onnx", "--dry_run"]
    done = programs.run([sys.executable, "-c", hide + start, *arguments])
    expected = "train.share: --onnx needs packages that are not installed: pip install onnx onnxscript\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)
