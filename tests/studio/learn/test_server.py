"""What the lessons ask of the networks: bounded, and the numbers that torch has."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gan import load_pipeline
from gan.networks import NETWORKS
from gan.studio import checks
from gan.studio.files import still_webp
from gan.studio.model import Model
from gan.studio.tabs.learn import anatomy
from gan.studio.tabs.learn import learn as lessons
from gan.studio.tabs.learn.learn import HERE, Learn
from gan.studio.tabs.training import Training
from tests.helpers.drawn import draw_cover
from tests.helpers.pictures import pixels


@pytest.fixture(scope="module")
def learn(tiny_pipeline_folder: Path) -> Learn:
    model = Model(load_pipeline(tiny_pipeline_folder), "tiny")
    return Learn(model, Training(model, []))


@pytest.mark.parametrize("role", anatomy.ROLES)
@pytest.mark.parametrize("network", anatomy.SHOWN)
def test_layers_are_those_of_the_real_network(network: str, role: str):
    told = anatomy.layers({"network": network, "role": role, "resolution": 32, "width": 16})
    sizes = {"resolution": 32, "width": 16}
    if network == "r3gan":
        sizes |= {"max_width": 64, "blocks": 1, "group_size": 16}
    if network == "painter":
        composer = {"resolution": 32, "composer_width": 16, "composer_max_width": 64}
        sizes = composer if role == "generator" else {"positions": 4, "width": 16}
    real = NETWORKS[network][anatomy.ROLES.index(role)](**sizes)
    assert told["parameters"] == sum(parameter.numel() for parameter in real.parameters())
    shape = told["layers"][-1]["after"]
    assert shape[:1] == [3] and shape[1:] == [32, 32] if role == "generator" else shape[0] == 1
    assert 0 < told["cost"] == sum(layer["cost"] for layer in told["layers"])


def test_dcgans_reach_is_that_of_kernel_4_and_stride_2():
    told = anatomy.layers({"network": "dcgan", "role": "discriminator", "resolution": 64, "width": 16})
    assert [layer["reach"] for layer in told["layers"] if layer["kind"] == "Conv2d"] == [4, 10, 22, 46, 64]
    told = anatomy.layers({"network": "dcgan", "role": "generator", "resolution": 64, "width": 16})
    reaches = [layer["reach"] for layer in told["layers"] if layer["kind"] == "ConvTranspose2d"]
    assert reaches == [46, 22, 10, 4, 1]


def test_wrong_questions_are_refused(learn: Learn):
    good = {"network": "dcgan", "role": "generator", "resolution": 64, "width": 16}
    for wrong in ({"network": "x"}, {"role": 1}, {"resolution": 100_000}, {"resolution": 65}, {"width": 10**9}):
        with pytest.raises(checks.Refused):
            learn.layers(good | wrong)
    for question, payload in (
        (learn.layers, None),
        (learn.channels, {"seed": 1, "layer": 99, "muted": []}),
        (learn.channels, {"seed": 1, "layer": 0, "muted": [-1]}),
        (learn.channels, {"seed": 1, "layer": 0, "muted": [0] * 99}),
        (learn.inside.truncated, {"seed": 1, "truncation": 1e9}),
        (learn.inside.ways, {"from": -1, "to": 2}),
        (learn.inside.directions, {"seed": 1, "direction": 6}),
        (learn.inside.normalised, {"seed": 1, "layer": 0, "channel": 10**6}),
        (learn.frame, 10**6),
        (learn.frame, {"of": "shipped", "number": 10**6}),
        (learn.frame, {"of": "hub", "number": 0}),
        (learn.film, "../x"),
    ):
        with pytest.raises(checks.Refused):
            question(payload)


def test_muting_changes_the_cover_and_not_what_others_are_drawn(learn: Learn):
    before = learn.model.cover(3, 1.0).tobytes()
    whole = learn.channels({"seed": 3, "layer": 0, "muted": []})
    muted = learn.channels({"seed": 3, "layer": 0, "muted": [0, 1, 2, 3]})
    assert whole["cover"] == whole["plain"] == muted["plain"] != muted["cover"]
    assert whole["changed"] == 0 < muted["changed"]
    assert learn.model.cover(3, 1.0).tobytes() == before


def test_truncation_takes_variety_away(learn: Learn):
    spreads = [learn.inside.truncated({"seed": 1, "truncation": t})["spread"] for t in (0, 0.5, 1)]
    assert spreads[0] == 0 < spreads[1] < spreads[2]


def test_the_straight_way_is_shorter_in_the_middle(learn: Learn):
    told = learn.inside.ways({"from": 1, "to": 2})
    assert told["straight"]["covers"][0] == told["round"]["covers"][0]
    assert told["straight"]["lengths"][3] < min(told["straight"]["lengths"][0], told["round"]["lengths"][3])
    assert len(set(learn.inside.directions({"seed": 1, "direction": 0})["covers"])) > 1


def test_batch_normalisation_is_as_torch_computes_it(learn: Learn):
    told = learn.inside.normalised({"seed": 1, "layer": 0, "channel": 2})
    assert [batch for batch, _ in told["covers"]] == [0, 1, 2, 4, 16]
    assert len({src for _, src in told["covers"]}) > 2
    after = torch.tensor(told["after"])
    assert abs(after.mean()) < 0.2 and abs(after.std() - 1) < 0.2
    assert told["leak"]["none"] == 0 < told["leak"]["batch"]


def test_the_film_has_its_curves(learn: Learn):
    told = learn.film("shipped")
    assert 0 < len(told["images"]) <= told["frames"]
    assert (
        told["images"][0] <= told["curves"]["fd_covers"][0][0]
        and told["images"][-1] <= told["curves"]["fd_covers"][-1][0]
    )
    assert learn.frame({"of": "shipped", "number": 0})["src"].startswith("data:image/webp")
    assert learn.film("hub") == {"frames": 0, "images": [], "curves": {}}


def test_a_picture_of_the_film_waits_for_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    covers = [draw_cover(seed, 64) for seed in range(8)]
    covers[0].save(tmp_path / "film.webp", save_all=True, append_images=covers[1:], quality=90)
    encoded = []
    monkeypatch.setattr(lessons, "still_webp", lambda *what: encoded.append(what) or still_webp(*what))
    stills = lessons.Stills(tmp_path / "film.webp")
    assert len(stills) == 8
    for number in (7, 0, 5, 7):  # the last is shown first, and a slider goes either way
        shown = pixels(stills[number]).astype(int)
        away = [np.abs(shown - pixels(cover)).mean() for cover in covers]
        assert away.index(min(away)) == number and min(away) < 12
    assert len(encoded) == 3


def test_a_training_on_the_hub_is_shown(hub, tmp_path: Path):
    from tests.helpers.hub_repo import Repo
    from tests.helpers.tiny import pipeline_files, tiny_pipeline

    repo = hub.repos["model", "user/covers"] = Repo()
    lines = [{"images": 10, "loss_d": 1.5}, {"images": 20, "loss_d": 1.25, "loss_g": "x"}, {"images": 20}, ["no"]]
    metrics = {"metrics.jsonl": "\n".join(map(json.dumps, lines)).encode()}
    for seed, tag in enumerate(("images-10", "images-20")):
        files = pipeline_files(tiny_pipeline("dcgan", seed), tmp_path / tag)
        repo.tags[tag] = repo.commit(files | metrics, tag)
    broken = pipeline_files(tiny_pipeline("dcgan", 5, latent_dim=12), tmp_path / "other")
    repo.tags["images-15"] = repo.commit(broken, "another network")
    repo.commit(metrics, "metrics")
    model = Model(load_pipeline("user/covers", "images-20"), "user/covers")
    learn = Learn(model, Training(model, ["images-10", "images-15", "images-20"]))
    told = learn.film("hub")
    assert (told["frames"], told["images"]) == (3, [10, 15, 20])
    assert told["curves"]["loss_d"] == [[10, 1.5], [20, 1.25]] and told["curves"]["loss_g"] == []
    first, last = (learn.frame({"of": "hub", "number": number})["src"] for number in (0, 2))
    assert first.startswith("data:image/webp") and first != last
    with pytest.raises(checks.Refused, match="cannot be loaded"):
        learn.frame({"of": "hub", "number": 1})


def test_both_languages_have_the_same_words():
    english, german = (json.loads((HERE / f"lessons/words/{name}.json").read_text()) for name in ("en", "de"))

    def shape(words: object) -> object:
        if isinstance(words, dict):
            return {key: shape(value) for key, value in words.items()}
        return [shape(one) for one in words] if isinstance(words, list) else None

    assert shape(english) == shape(german)


def test_all_lessons_together_stay_small():
    assert sum(file.stat().st_size for file in (HERE / "lessons").rglob("*") if file.is_file()) < 5_000_000
