"""Seeds, calls, and pipeline folders: written whole or not at all, and refused when damaged."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import gan
from gan import pipeline_folder
from gan.nearest import build_index, load_index
from gan.networks import NETWORKS
from gan.pipeline import AlbumCoverPipeline, latents_from_seeds
from gan.pipeline_folder import COVERS_INDEX, SURVEY, export_generator
from gan.survey import load_survey, survey
from tests.helpers.drawn import draw_cover
from tests.helpers.pictures import drawn
from tests.helpers.tiny import TINY, changed_config, tiny_pipeline


WEIGHTS = "synthesis/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def pipe() -> AlbumCoverPipeline:
    return tiny_pipeline("r3gan")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gan.save_pipeline(tiny_pipeline("dcgan"), tmp_path / "pipeline", for_strangers=False)
    return tmp_path / "pipeline"


@pytest.mark.parametrize("name", TINY)
def test_weights_of_half_the_bytes_draw_the_same_covers(tmp_path: Path, name: str):
    pipe = tiny_pipeline(name, resolution=32)
    gan.save_pipeline(pipe, tmp_path / "whole", for_strangers=False)
    gan.save_pipeline(pipe, tmp_path / "half", for_strangers=False, half=True)
    sizes = [(tmp_path / which / WEIGHTS).stat().st_size for which in ("whole", "half")]
    assert sizes[1] < 0.7 * sizes[0]  # these small ones have a long list of names
    assert {weight.dtype for weight in pipe.synthesis.parameters()} == {torch.float32}
    again = gan.load_pipeline(tmp_path / "half")
    assert {weight.dtype for weight in again.synthesis.parameters()} == {torch.float32}
    gap = np.abs(drawn(again, seeds=list(range(64))).astype(int) - drawn(pipe, seeds=list(range(64))))
    assert 0 < gap.mean() < 0.1  # grey levels; one is promised, but covers of untrained weights are nearly grey


def test_an_encoder_travels_with_its_painter_and_leaves_with_it(tmp_path: Path):
    pipe, folder = tiny_pipeline("painter", encoder=True), tmp_path / "pipeline"
    covers = torch.rand(2, 3, 32, 32) * 2 - 1
    for half in (False, True):
        gan.save_pipeline(pipe, folder, half=half)
        again = gan.load_pipeline(folder)
        assert {weight.dtype for weight in again.encoder.parameters()} == {torch.float32}
        latents = pipe.encode(covers)
        most = 0.02 * latents.std() if half else 0
        torch.testing.assert_close(again.encode(covers), latents, atol=most, rtol=0)
    assert load_file(folder / "encoder/diffusion_pytorch_model.safetensors")["layers.0.weight"].dtype == torch.float16
    assert pipe.encode(covers).shape == pipe.synthesis.compose(torch.zeros(2, 10)).shape
    # in the composer's scale: what is painted from it is what the decoder makes of the encoder's own latents
    painted = pipe.synthesis.decoder(pipe.encoder(covers))
    torch.testing.assert_close(pipe.synthesis.paint(pipe.encode(covers)), painted, atol=1e-3, rtol=1e-3)

    gan.save_pipeline(tiny_pipeline("painter"), folder)
    assert not (folder / "encoder").exists()
    without = gan.load_pipeline(folder)
    assert without.encoder is None
    with pytest.raises(ValueError, match="came without an encoder"):
        without.encode(covers)


def test_a_seed_means_the_same_latents_for_ever():
    latents = latents_from_seeds([0, 1, 4294967295], 10)
    expected = [[1.5410, -0.2934, -2.1788], [0.6614, 0.2669, 0.0617], [1.2198, -0.3930, 1.0231]]
    assert latents.dtype == torch.float32 and latents.device.type == "cpu"
    torch.testing.assert_close(latents[:, :3], torch.tensor(expected), atol=1e-4, rtol=0)


def test_a_seed_does_not_depend_on_its_neighbours_nor_on_torchs_own_state():
    state = torch.get_rng_state()
    assert torch.equal(latents_from_seeds([7, 8], 4), latents_from_seeds([8, 7], 4).flip(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert latents_from_seeds([], 4).shape == (0, 4)


@pytest.mark.parametrize("name", TINY)
def test_same_seed_same_pixels_in_any_batch(name: str):
    pipe = tiny_pipeline(name)
    seeds = list(range(16))
    together = drawn(pipe, seeds=seeds)
    side = pipe.synthesis.config.resolution
    assert together.shape == (16, side, side, 3) and together.dtype == np.uint8
    assert len(np.unique(together.reshape(16, -1), axis=0)) == 16
    for batch_size in (1, 3, 100):
        alone = drawn(pipe, seeds=seeds, batch_size=batch_size)
        # sums are added up in another order for another batch size, so now and then a number rounds the other way
        assert np.abs(alone.astype(int) - together).max() <= 1
        assert (alone != together).mean() < 0.01


def test_truncation_0_makes_all_alike(pipe: AlbumCoverPipeline):
    covers = drawn(pipe, seeds=[1, 2, 3], truncation=0)
    assert (covers == covers[0]).all()
    whole, half = pipe.prepare_latents([1]), pipe.prepare_latents([1], truncation=0.5)
    assert torch.equal(half, whole / 2)


def test_latents_instead_of_seeds_and_the_kinds_of_output(pipe: AlbumCoverPipeline):
    latents = latents_from_seeds([1, 2], 10)
    array = pipe(latents=latents, output_type="np").images
    tensor = pipe(latents=latents, output_type="pt").images
    np.testing.assert_array_equal((array * 255).round().astype(np.uint8), drawn(pipe, seeds=[1, 2]))
    assert torch.equal(tensor, torch.from_numpy(array).permute(0, 3, 1, 2))
    assert array.min() >= 0 and array.max() <= 1
    (images,) = pipe(seeds=[1], return_dict=False)
    np.testing.assert_array_equal(np.asarray(images[0]), drawn(pipe, seeds=[1])[0])


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"seeds": [1], "latents": torch.zeros(1, 10)},
        {"seeds": []},
        {"seeds": -1},
        {"seeds": [2**32]},
        {"seeds": [1.0]},
        {"seeds": [True]},
        {"seeds": ["1"]},
        {"latents": torch.zeros(10)},
        {"latents": torch.zeros(0, 10)},
        {"latents": torch.zeros(1, 11)},
        {"latents": torch.full((1, 10), torch.nan)},
        {"latents": torch.full((1, 10), torch.inf)},
        {"seeds": 1, "truncation": -0.1},
        {"seeds": 1, "truncation": 2.1},
        {"seeds": 1, "truncation": float("nan")},
    ],
    ids=str,
)
def test_a_wrong_call_is_refused(pipe: AlbumCoverPipeline, call: dict):
    with pytest.raises(ValueError):
        pipe(**call)


def test_a_folder_may_have_a_name_that_is_no_utf8(tmp_path: Path):
    pipe = tiny_pipeline("painter", encoder=True)
    folder = tmp_path / os.fsdecode(b"caf\xe9") / "pipeline"
    folder.parent.mkdir()
    gan.save_pipeline(pipe, folder)
    np.testing.assert_array_equal(drawn(gan.load_pipeline(folder), seeds=[1]), drawn(pipe, seeds=[1]))
    build_index((draw_cover(seed, 64), f"{seed:064x}") for seed in range(2)).save(folder / COVERS_INDEX)
    survey(pipe, 16).save(folder / SURVEY)
    assert len(load_index(folder / COVERS_INDEX)) == 2 and len(load_survey(folder / SURVEY).colours) == 16


@pytest.mark.parametrize("name", TINY)
def test_saved_and_loaded_it_draws_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pipe = tiny_pipeline(name)
    save = type(pipe.synthesis).save_pretrained
    monkeypatch.setattr(
        type(pipe.synthesis), "save_pretrained", lambda self, folder, **_: save(self, folder, max_shard_size="4KB")
    )
    gan.save_pipeline(pipe, tmp_path / "sharded", for_strangers=False)
    assert len(list((tmp_path / "sharded" / "synthesis").glob("*.safetensors"))) > 1
    monkeypatch.undo()
    gan.save_pipeline(pipe, tmp_path / "whole", for_strangers=False)
    for folder in ("sharded", "whole"):
        loaded = gan.load_pipeline(tmp_path / folder)
        assert type(loaded.synthesis) is type(pipe.synthesis) and not loaded.synthesis.training
        assert not any(weight.requires_grad for weight in loaded.synthesis.parameters())
        np.testing.assert_array_equal(drawn(loaded, seeds=[1, 2]), drawn(pipe, seeds=[1, 2]))


def test_a_large_generator_is_written_in_files_below_10_megabytes(tmp_path: Path):
    gan.save_pipeline(
        tiny_pipeline("r3gan", width=256, max_width=256, blocks=4), tmp_path / "pipeline", for_strangers=False
    )
    sizes = [file.stat().st_size for file in (tmp_path / "pipeline").rglob("*.safetensors")]
    assert len(sizes) > 1 and max(sizes) < 10_000_000
    gan.load_pipeline(tmp_path / "pipeline")


def test_half_precision_weights_are_read_as_float32(tmp_path: Path):
    pipe = tiny_pipeline("r3gan")
    pipe.synthesis.to(torch.bfloat16)
    gan.save_pipeline(pipe, tmp_path / "pipeline", for_strangers=False)
    assert {v.dtype for v in gan.load_pipeline(tmp_path / "pipeline").synthesis.parameters()} == {torch.float32}


def test_a_save_that_fails_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def fail(*_):
        raise RuntimeError("cannot be exported")

    monkeypatch.setattr(pipeline_folder, "export_generator", fail)
    for target in (folder, folder.parent / "new"):
        with pytest.raises(RuntimeError, match="cannot be exported"):
            gan.save_pipeline(tiny_pipeline("r3gan"), target)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert list(folder.parent.iterdir()) == [folder]


def test_a_save_replaces_all_of_an_earlier_one_and_nothing_else(folder: Path):
    for left in (
        "synthesis/left.safetensors",
        "generator.pt2",
        "covers.index.safetensors",
        "survey.safetensors",
        ".new-killed/a",
    ):
        (folder / left).parent.mkdir(exist_ok=True)
        (folder / left).write_bytes(b"")
    (folder / "README.md").write_text("the user's")
    gan.save_pipeline(tiny_pipeline("r3gan"), folder, for_strangers=False)
    assert {path.name for path in folder.iterdir()} == {"README.md", "model_index.json", "synthesis"}
    assert {path.name for path in (folder / "synthesis").iterdir()} == {"config.json", Path(WEIGHTS).name}
    assert list(folder.parent.iterdir()) == [folder]
    assert type(gan.load_pipeline(folder).synthesis).__name__ == "R3GANGenerator"


def test_a_folder_whose_parent_is_closed_takes_a_pipeline_again_and_again(tmp_path: Path):
    """As a disk that is mounted there would be: nothing beside the folder can be written, nor itself be renamed."""
    gan.save_pipeline(tiny_pipeline("wgan-gp"), tmp_path / "imports")  # what it needs, while everything can be read
    me = os.geteuid()
    nobody = 65534 if me == 0 else me  # root may write anywhere
    with tempfile.TemporaryDirectory() as parent:  # pytest's own are closed to others
        folder = Path(parent, "pipeline")
        (folder / "lost+found").mkdir(parents=True)
        shutil.chown(folder, nobody)
        Path(parent).chmod(0o555)
        os.seteuid(nobody)
        try:
            with pytest.raises(PermissionError):
                Path(parent, "new").mkdir()
            for name in ("r3gan", "dcgan"):
                gan.save_pipeline(tiny_pipeline(name), folder)
        finally:
            os.seteuid(me)
            Path(parent).chmod(0o755)
        assert type(gan.load_pipeline(folder).synthesis).__name__ == "DCGANGenerator"
        assert {path.name for path in folder.iterdir()} == {
            "model_index.json", "pipeline.py", "generator.pt2", "synthesis", "lost+found",
        }  # fmt: skip


def test_a_reader_gets_one_pipeline_or_the_other_while_it_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Half of one and half of the other would fit: the networks are the same."""
    pipes = [tiny_pipeline("dcgan", seed) for seed in (1, 2)]
    gan.save_pipeline(pipes[0], folder, for_strangers=False)
    load, calls = pipeline_folder.load_file, []

    def slow(file: Path) -> dict[str, torch.Tensor]:
        weights = load(file)
        if not calls:
            calls.append(file)
            gan.save_pipeline(pipes[1], folder, for_strangers=False)
        return weights

    monkeypatch.setattr(pipeline_folder, "load_file", slow)
    np.testing.assert_array_equal(drawn(gan.load_pipeline(folder), seeds=[3]), drawn(pipes[1], seeds=[3]))


def test_a_generator_that_could_not_be_loaded_is_not_written(tmp_path: Path):
    with torch.device("meta"):
        pipe = AlbumCoverPipeline(NETWORKS["dcgan"][0](resolution=16, width=4096))
    with pytest.raises(gan.PipelineError, match="width in its config is 4,096, not 1 to 2,048"):
        gan.save_pipeline(pipe, tmp_path / "pipeline")
    assert not list(tmp_path.iterdir())


FIRST = "layers.0.weight"


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        change(state)
        save_file(state, folder / WEIGHTS)

    return damage


@pytest.mark.parametrize("name", TINY)
def test_each_generator_of_one_shape_is_exported_with_its_own_weights(tmp_path: Path, name: str):
    latents = torch.randn(3, 10)
    for seed in (0, 1):
        generator = tiny_pipeline(name, seed).synthesis
        state = torch.get_rng_state()
        export_generator(generator, tmp_path / "generator.pt2")
        assert torch.equal(torch.get_rng_state(), state)
        covers = torch.export.load(tmp_path / "generator.pt2").module()(latents)
        torch.testing.assert_close(covers, generator(latents), atol=1e-6, rtol=0)


def text(name: str, content: str | None) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) if content is not None else (folder / name).unlink()


def pickle_only(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "synthesis/diffusion_pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def cut_off(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def index(synthesis: object) -> Callable[[Path], None]:
    return text("model_index.json", json.dumps({"_class_name": ["pipeline", "X"], "synthesis": synthesis}))


DAMAGES = {
    "missing key": (weights(lambda w: w.pop(FIRST)), f"{FIRST} is missing in its files and [10, 8, 4, 4] by its"),
    "extra key": (weights(lambda w: w.update(x=torch.zeros(3))), "x is [3] in its files and missing by its config"),
    "wrong shape": (weights(lambda w: w.update({FIRST: torch.zeros(1)})), f"{FIRST} is [1] in its files and [10, 8"),
    "not finite": (weights(lambda w: w[FIRST].view(-1)[3:4].fill_(torch.nan)), f"{FIRST} holds numbers that are not"),
    "cut off": (cut_off, "cannot load the generator"),
    "weights are no weights": (text(WEIGHTS, "hello"), "cannot load the generator"),
    "pickle only": (pickle_only, "holds no weights"),
    "unknown network": (index(["album_cover_gan_x", "OsSystem"]), "'OsSystem' is not one of DCGANGenerator, "),
    "network is a list": (index(["x", ["DCGANGenerator"]]), "is not one of"),
    "no network": (index("x"), "names no synthesis network"),
    "index missing": (text("model_index.json", None), "holds no model_index.json"),
    "index is no JSON": (text("model_index.json", "{"), "names no synthesis network"),
    "index is a list": (text("model_index.json", "[]"), "names no synthesis network"),
    "config missing": (text("synthesis/config.json", None), "cannot load the generator"),
    "config is no JSON": (text("synthesis/config.json", "{"), "cannot load the generator"),
    "config is a list": (text("synthesis/config.json", "[]"), "cannot load the generator"),
    "text for a number": (changed_config(width="wide"), "cannot load the generator"),
    "other network": (
        changed_config(latent_dim=11),
        f"{FIRST} is [10, 8, 4, 4] in its files and [11, 8, 4, 4] by its config",
    ),
    "64 GB": (changed_config(width=20_000), "width in its config is 20,000, not 1 to 2,048"),
    "more than there is": (changed_config(width=10**9), "width in its config is 1,000,000,000, not 1 to 2,048"),
    "more than a number": (changed_config(width=10**40), "width in its config is 10**12 or more, not 1 to 2,048"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_line(folder: Path, damage: str):
    break_it, line = DAMAGES[damage]
    break_it(folder)
    with pytest.raises(gan.PipelineError, match=re.escape(line)) as raised:
        gan.load_pipeline(folder)
    assert str(raised.value).startswith(f"{folder}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "./user/covers", "/user/covers", "x" * 5000, "a\0b", ""])
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(name: str):
    with pytest.raises(gan.PipelineError, match="no such folder" if name else "."):
        gan.load_pipeline(name or "user/")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "photo.txt").write_text("mine")
    with pytest.raises(gan.PipelineError, match="holds other files"):
        gan.save_pipeline(tiny_pipeline("dcgan"), tmp_path, for_strangers=False)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.txt"]


def test_everybody_may_read_what_is_written(folder: Path):
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}
