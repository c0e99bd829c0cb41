"""A stranger's model: whatever it says, one line in a moment, and neither memory nor time is lost on it."""

import json
import os
import resource
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import gan
from gan.nearest import CopiesError, build_index, load_index
from gan.networks import NETWORKS
from gan.networks.painter import Encoder
from gan.pipeline import AlbumCoverPipeline
from gan.pipeline_folder import COVERS_INDEX, DISCRIMINATORS, GENERATORS
from gan.untrusted import BOUNDS, check_arguments
from tests.helpers.drawn import draw_cover
from tests.helpers.tiny import TINY, tiny_pipeline
from train.train_gan.recipes import CONFIGS, load_recipe


CONFIG, INDEX = "synthesis/config.json", "model_index.json"
WEIGHTS = "synthesis/diffusion_pytorch_model.safetensors"
DEEP = "[" * 100_000 + "]" * 100_000
SECONDS, KILOBYTES = 5, 150_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gan.save_pipeline(tiny_pipeline("r3gan"), tmp_path / "pipeline", for_strangers=False)
    return tmp_path / "pipeline"


@pytest.fixture(autouse=True)
def _in_a_moment() -> Iterator[None]:
    began, held = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu = time.process_time()
    yield
    # of the processor, so that a busy machine does not count; a wait for a FIFO would be none of it
    assert time.process_time() - cpu < SECONDS and time.monotonic() - began < 20 * SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < KILOBYTES


def says(**values: object) -> Callable[[Path], None]:
    """Change the configuration."""
    return lambda folder: (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | values))


def text(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def fifo(name: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return replace


def link(name: str, target: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return replace


def sparse(name: str, size: int = 10**12) -> Callable[[Path], None]:
    """A file that says it is large, and takes no room on the disk."""

    def replace(folder: Path) -> None:
        with open(folder / name, "r+b") as file:
            file.truncate(size)

    return replace


def many_files(folder: Path) -> None:
    for number in range(251):
        save_file({f"w{number}": torch.zeros(1)}, folder / "synthesis" / f"{number}.safetensors")


def empty_tensors(folder: Path) -> None:
    """So many names that a limit which grows with them would let a million layers in."""
    state = load_file(folder / WEIGHTS) | {f"e{number}": torch.zeros(0) for number in range(11_000)}
    save_file(state, folder / WEIGHTS)


def a_weight_twice(folder: Path) -> None:
    save_file({"basis": torch.zeros(16, 4, 4)}, folder / "synthesis" / "more.safetensors")


def header(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(content)) + content)


def eight_bits(folder: Path) -> None:
    save_file({k: v.to(torch.float8_e4m3fn) for k, v in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)


def circle(folder: Path) -> None:
    (folder / "synthesis").rename(folder / "moved")
    (folder / "synthesis").symlink_to("synthesis")


def weights(factor: float, of: str = "") -> Callable[[Path], None]:
    """Make every weight whose name begins like this as large as that, with its own sign."""

    def change(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        save_file({k: v.sign() * factor if k.startswith(of) else v for k, v in found.items()}, folder / WEIGHTS)

    return change


SHAPE = b'{"basis": {"dtype": "F32", "shape": %b, "data_offsets": [0, 16]}}'
ATTACKS = {
    "a thousand million blocks": (says(blocks=10**9), "blocks in its config is 1,000,000,000, not 1 to 16"),
    "no block": (says(blocks=0), "blocks in its config is 0, not 1 to 16"),
    "channels": (says(width=60_000, max_width=60_000), "width in its config is 60,000, not 1 to 2,048"),
    "minus": (says(max_width=-(10**15)), "max_width in its config is -10**12 or more, not"),
    "groups of none": (says(group_size=0), "group_size in its config is 0, not 1 to 4,096"),
    "latents": (says(latent_dim=10**8), "latent_dim in its config is 100,000,000, not 1 to 4,096"),
    "a number of a thousand digits": (says(resolution=2**4000), "resolution in its config is 10**12 or more, not"),
    "a number of ten thousand digits": (text(CONFIG, '{"resolution": ' + "9" * 10_000 + "}"), "is no JSON"),
    "resolution": (says(resolution=2048), "resolution in its config is 2,048, not 8 to 1,024"),
    "no power of two": (says(resolution=24), "must be a power of two"),
    "large maps": (says(resolution=1024, width=128), "feature maps of more than 67,108,864 values"),
    "the largest network": (says(resolution=128, width=2048, max_width=2048, blocks=16), "by its config"),
    "a bool": (says(blocks=True), "blocks in its config is no integer, but 'True'"),
    "a fraction": (says(blocks=1.5), "no integer, but '1.5'"),
    "no number": (text(CONFIG, '{"blocks": NaN}'), "no integer, but 'nan'"),
    "nothing": (says(blocks=None), "no integer, but 'None'"),
    "nested": (says(blocks={"blocks": 1}), "no integer, but \"{'blocks': 1}\""),
    "an unknown key": (says(depth=1), "its config names 'depth', which R3GANGenerator does not take"),
    "another network's": (says(normalisation="batch"), "its config names 'normalisation'"),
    "torch's own": (says(quantization_config={"load_in_4bit": True}), "its config names 'quantization_config'"),
    "genres nested": (says(genres={"rock": 1}), "genres must be a list of at most 1000 names"),
    "a config that never ends": (fifo(CONFIG), "config.json is no regular file"),
    "a config that is a device": (link(CONFIG, "/dev/zero"), "config.json is no regular file"),
    "a config without a size": (link(CONFIG, "/proc/self/status"), "config.json is no JSON"),
    "an index without a size": (link(INDEX, "/proc/self/status"), "names no synthesis network"),
    "weights without a size": (link(WEIGHTS, "/proc/self/status"), "cannot load the generator"),
    "a config that leads to itself": (link(CONFIG, "config.json"), "Too many levels of symbolic links"),
    "networks in a circle": (circle, "cannot load the generator"),
    "a name for a network in a list": (text(INDEX, '{"synthesis": ["a", ["R3GANGenerator"]]}'), "is not one of DCGAN"),
    "a name for a network in letters": (text(INDEX, '{"synthesis": "xy"}'), "its network 'y' is not one of DCGAN"),
    "a name for a network that clears a screen": (
        text(INDEX, '{"synthesis": ["a", "\\u001b[2J\\ud800"]}'),
        r"its network '\x1b[2J\ud800' is not one of DCGAN",
    ),
    "an infinite number": (text(CONFIG, '{"resolution": 1e400}'), "no integer, but 'inf'"),
    "sixty thousand keys": (text(CONFIG, json.dumps({f"k{n}": 1 for n in range(60_000)})), "its config names 'k0'"),
    "half a letter for a genre": (text(CONFIG, '{"genres": ["\\ud800"]}'), ""),
    "an overflowing shape": (header(SHAPE % b"[4611686018427387904, 4]"), "cannot load the generator"),
    "a shape of minus one": (header(SHAPE % b"[-1]"), "cannot load the generator"),
    "a shape of ten thousand sides": (header(SHAPE % (b"[" + b"1," * 10_000 + b"1]")), "cannot load the generator"),
    "a pickle": (lambda folder: (folder / WEIGHTS).write_bytes(b"\x80\x04cos\nsystem\n."), "is no safetensors file"),
    "only weights that are code": (
        lambda folder: (folder / WEIGHTS).rename(folder / "synthesis/diffusion_pytorch_model.bin"),
        "holds no weights (synthesis/*.safetensors)",
    ),
    "a huge config": (sparse(CONFIG), "config.json has more than 1,000,000 bytes"),
    "a deep config": (text(CONFIG, DEEP), "config.json holds lists in lists beyond all measure"),
    "a config in latin-1": (lambda folder: (folder / CONFIG).write_bytes(b'{"a": "\xff"}'), "config.json is no JSON"),
    "an index that never ends": (fifo(INDEX), "names no synthesis network"),
    "a huge index": (sparse(INDEX), "names no synthesis network"),
    "a deep index": (text(INDEX, DEEP), "names no synthesis network"),
    "weights that never end": (fifo(WEIGHTS), "diffusion_pytorch_model.safetensors is no regular file"),
    "more weights that never end": (fifo("synthesis/more.safetensors"), "more.safetensors is no regular file"),
    "weights that are a folder": (lambda folder: (folder / "synthesis/a.safetensors").mkdir(), "is no regular file"),
    "weights that are a device": (link(WEIGHTS, "/dev/zero"), "is no regular file"),
    "huge weights": (sparse(WEIGHTS), "has more than 1,000,000,000 bytes"),
    "a long list of weights": (header(b" " * 1_000_001), "lists more than 1,000,000 bytes"),
    "a deep list of weights": (header(DEEP.encode()), "cannot load the generator"),
    "nothing in it": (lambda folder: (folder / WEIGHTS).write_bytes(b""), "cannot load the generator"),
    "too many files": (many_files, "its weights lie in more than 250 files"),
    "empty tensors": (empty_tensors, "its files hold more than 10,000 weights"),
    "a weight twice": (a_weight_twice, "the weight basis is in two files"),
    "enormous weights": (weights(3e38), "holds numbers that are larger than 1,000,000,000"),
    "weights whose covers are infinite": (weights(9e8), "first cover holds numbers that are not"),
    "weights whose covers are black and white": (
        weights(9e8, "to_rgb"),
        "cover is black, white and nothing betwe",
    ),
    "numbers of eight bits": (eight_bits, "is of the kind F8_E4M3"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_folder_is_refused_in_one_line_and_a_moment(folder: Path, attack: str) -> None:
    make, line = ATTACKS[attack]
    make(folder)
    with pytest.raises(gan.PipelineError) as raised:
        gan.load_pipeline(folder)
    said = str(raised.value)
    assert line in said and said.startswith(f"{folder}: ") and "\n" not in said and len(said) < 600


def encoder_says(**values: object) -> Callable[[Path], None]:
    file = "encoder/config.json"
    return lambda folder: text(file, json.dumps(json.loads((folder / file).read_text()) | values))(folder)


def indexed(encoder: object) -> Callable[[Path], None]:
    return lambda folder: text(INDEX, json.dumps(json.loads((folder / INDEX).read_text()) | {"encoder": encoder}))(
        folder
    )


def encodes_nothing(folder: Path) -> None:
    file = folder / "encoder/diffusion_pytorch_model.safetensors"
    save_file({k: v.sign() * 9e8 for k, v in load_file(file).items()}, file)


ENCODERS = {
    "of enormous weights": (encodes_nothing, "first cover holds numbers that are not finite"),
    "wide": (encoder_says(width=257), "cannot load the encoder: width in its config is 257, not 1 to 256"),
    "of no channels": (encoder_says(latent_channels=0), "latent_channels in its config is 0, not 1 to 64"),
    "of other weights": (encoder_says(width=3), "cannot load the encoder: the weight layers.0.bias is [2] in its"),
    "with genres": (encoder_says(genres=["rock"]), "cannot load the encoder"),
    "never ends": (fifo("encoder/config.json"), "config.json is no regular file"),
    "huge": (sparse("encoder/diffusion_pytorch_model.safetensors"), "has more than 1,000,000,000 bytes"),
    "without weights": (
        lambda folder: (folder / "encoder/diffusion_pytorch_model.safetensors").unlink(),
        "cannot load the encoder: holds no weights (encoder/*.safetensors)",
    ),
    "of another class": (indexed(["os", "system"]), "its encoder \"['os', 'system']\" is not Encoder"),
    "a number": (indexed(3), "its encoder '3' is not Encoder"),
    "a long list": (indexed(["x", "Encoder", "y"]), "is not Encoder"),
}


@pytest.mark.parametrize("attack", ENCODERS)
def test_a_hostile_encoder_is_refused_in_one_line(tmp_path: Path, attack: str) -> None:
    folder = tmp_path / "pipeline"
    gan.save_pipeline(tiny_pipeline("painter", encoder=True), folder, for_strangers=False)
    assert gan.load_pipeline(folder).encoder is not None
    make, line = ENCODERS[attack]
    make(folder)
    with pytest.raises(gan.PipelineError) as raised:
        gan.load_pipeline(folder)
    said = str(raised.value)
    assert line in said and said.startswith(f"{folder}: ") and "\n" not in said and len(said) < 600


@pytest.mark.parametrize(("name", "makes"), [("painter", "paints from 4"), ("r3gan", "paints from no such numbers")])
def test_an_encoder_of_another_generator_is_refused(tmp_path: Path, name: str, makes: str) -> None:
    pipe = AlbumCoverPipeline(tiny_pipeline(name).synthesis, Encoder(width=2, latent_channels=5))
    gan.save_pipeline(pipe, tmp_path / "pipeline", for_strangers=False)
    with pytest.raises(gan.PipelineError, match=f"its encoder makes 5 numbers of each part of a cover, .*{makes}"):
        gan.load_pipeline(tmp_path / "pipeline")


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ({"sketch_width": 2049}, "sketch_width in its config is 2,049, not 0 to 2,048"),
        ({"sketch_width": 128, "resolution": 1024}, "feature maps of more than 67,108,864 values"),
        ({"sketch_width": 2}, "by its config"),
    ],
)
def test_a_sketch_is_bounded_as_all_else(tmp_path: Path, sizes: dict[str, int], line: str) -> None:
    folder = tmp_path / "pipeline"
    gan.save_pipeline(tiny_pipeline("painter"), folder, for_strangers=False)
    says(**sizes)(folder)
    with pytest.raises(gan.PipelineError, match=line):
        gan.load_pipeline(folder)


def test_files_that_say_where_other_files_are_are_not_read(folder: Path) -> None:
    before = gan.load_pipeline(folder)(seeds=[1], output_type="pt").images
    there = {"metadata": {}, "weight_map": {"basis": "../../../etc/passwd", "scale.weight": "/dev/zero"}}
    text("synthesis/diffusion_pytorch_model.safetensors.index.json", json.dumps(there))(folder)
    fifo("synthesis/other.index.json")(folder)
    assert torch.equal(gan.load_pipeline(folder)(seeds=[1], output_type="pt").images, before)


@pytest.mark.parametrize("name", TINY)
def test_a_network_that_has_learned_nothing_loads(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name][0](**{"resolution": 16} | TINY[name])
    for change in (None, torch.nn.init.zeros_):  # all grey is a picture, too
        if change:
            for weight in network.parameters():
                change(weight)
        gan.save_pipeline(AlbumCoverPipeline(network.eval()), tmp_path / name, for_strangers=False)
        gan.load_pipeline(tmp_path / name)


def test_bfloat16_weights_load(folder: Path) -> None:
    state = {key: value.to(torch.bfloat16) for key, value in load_file(folder / WEIGHTS).items()}
    save_file(state, folder / WEIGHTS)
    generator = gan.load_pipeline(folder).synthesis
    assert {value.dtype for value in generator.parameters()} == {torch.float32}
    assert torch.equal(generator.basis, state["basis"].float())


def test_every_generator_has_bounds_and_every_recipe_is_within_them() -> None:
    judges = {kind.__name__: kind for kinds in DISCRIMINATORS.values() for kind in kinds}
    assert BOUNDS.keys() == GENERATORS.keys() | {"Encoder"} | judges.keys()
    for name, network in judges.items():
        arguments = dict(network().config).keys() - {"_use_default_values", "genres"}
        assert BOUNDS[name].keys() == arguments, name
        assert check_arguments(name, json.loads(network().to_json_string())).keys() >= arguments
    assert BOUNDS["Encoder"].keys() == dict(Encoder().config).keys() - {"_use_default_values"}
    for name, (generator, _) in NETWORKS.items():
        arguments = dict(generator(resolution=32, width=4).config)
        assert BOUNDS[generator.__name__].keys() | {"genres"} == arguments.keys() - {"_use_default_values"}, name
    for recipe in (load_recipe(file.stem, {}) for file in CONFIGS.glob("*.yaml")):
        generator = NETWORKS[recipe.network][0]
        arguments = recipe.generator | {"resolution": recipe.resolution}
        assert check_arguments(generator.__name__, arguments | {"genres": ["rock"]}) == arguments | {
            "genres": ["rock"]
        }


@pytest.mark.parametrize("size", ["one file", "many"])
def test_a_repository_that_is_too_large_is_not_downloaded(hub, folder: Path, size: str, monkeypatch) -> None:
    from tests.helpers.hub_repo import Repo

    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files |= {f"synthesis/{number}.safetensors": b"x" for number in range(300)} if size == "many" else {}
    if size == "one file":
        monkeypatch.setattr("gan.pipeline_folder.LARGEST_WEIGHTS", 1000)
    repo = Repo()
    repo.commit(files, "hostile")
    hub.repos["model", "user/covers"] = repo
    with pytest.raises(gan.PipelineError, match="user/covers: its generator has more than 250 files, or"):
        gan.load_pipeline("user/covers")
    assert not [request for request in hub.requests if "/resolve/" in request]


def rewritten(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Change an index of covers, and leave what it says of its form."""

    def damage(folder: Path) -> None:
        from safetensors import safe_open

        arrays = load_file(folder / COVERS_INDEX)
        with safe_open(folder / COVERS_INDEX, "pt") as stored:
            metadata = stored.metadata()
        change(arrays)
        save_file(arrays, folder / COVERS_INDEX, metadata)

    return damage


INDICES = {
    "bfloat16": rewritten(lambda a: a.update(mean=a["mean"].to(torch.bfloat16))),
    "a number": rewritten(lambda a: a.update(features=torch.tensor(1, dtype=torch.int8))),
    "no covers": rewritten(lambda a: a.update({k: a[k][:0] for k in ("features", "hashes", "names")})),
    "no features": rewritten(lambda a: a.pop("features")),
    "no basis": rewritten(lambda a: a.pop("basis")),
    "wide features": rewritten(lambda a: a.update(features=torch.zeros(5, 41, dtype=torch.int8))),
    "signed hashes": rewritten(lambda a: a.update(hashes=a["hashes"].to(torch.int8))),
    "never ends": fifo(COVERS_INDEX),
    "a device": link(COVERS_INDEX, "/dev/zero"),
    "huge": sparse(COVERS_INDEX),
    "a folder": lambda folder: ((folder / COVERS_INDEX).unlink(), (folder / COVERS_INDEX).mkdir()),
    "long list": lambda folder: (folder / COVERS_INDEX).write_bytes(struct.pack("<Q", 2_000_000) + b" " * 2_000_000),
}


@pytest.mark.parametrize("attack", INDICES)
def test_a_hostile_index_of_covers_is_refused_in_one_line(tmp_path: Path, attack: str) -> None:
    build_index((draw_cover(seed, 64), f"{seed:064x}") for seed in range(5)).save(tmp_path / COVERS_INDEX)
    assert len(load_index(tmp_path / COVERS_INDEX)) == 5
    INDICES[attack](tmp_path)
    with pytest.raises(CopiesError) as raised:
        load_index(tmp_path / COVERS_INDEX)
    said = str(raised.value)
    assert said.startswith(COVERS_INDEX) and "\n" not in said and str(tmp_path) not in said


def test_an_index_whose_unneeded_tensors_are_of_any_kind_loads(tmp_path: Path) -> None:
    index = build_index((draw_cover(seed, 64), f"{seed:064x}") for seed in range(5))
    index.save(tmp_path / COVERS_INDEX)
    rewritten(lambda a: a.update(more=torch.zeros(3)))(tmp_path)
    np.testing.assert_array_equal(load_index(tmp_path / COVERS_INDEX).features, index.features)
