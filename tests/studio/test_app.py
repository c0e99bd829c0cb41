"""The page without a browser: what its scripts ask for, its words, and how covers are drawn for many."""

import ast
import logging
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import app
from gan.pipeline import LARGEST_SEED, AlbumCoverPipeline
from gan.studio import checks
from gan.studio import model as model_file
from gan.studio.locale import LANGUAGES
from gan.studio.model import FIRST_SEED, Model
from gan.studio.shell.shelf import MOST_KEPT, kept
from gan.studio.tabs.crate import MOST_TILES, SIDE, Crate, seed_at
from tests.helpers.pictures import same


ENGLISH = LANGUAGES["en"]


def refusals(language: str) -> set[str]:
    """The English sentences that a language has translated."""
    return {key.removeprefix("refused: ") for key in LANGUAGES[language] if key.startswith("refused: ")}


def test_each_seed_has_one_place():
    for seed in (0, 1, SIDE - 1, SIDE, 123456789, LARGEST_SEED):
        x, y = seed % SIDE, seed // SIDE
        assert seed_at(x, y) == seed == seed_at(x - SIDE, y + 3 * SIDE)


def test_tiles_come_in_batches(model: Model, pipeline: AlbumCoverPipeline):
    seeds = [7, LARGEST_SEED, 0]
    answer = Crate(model).look({"truncation": 0.9, "tiles": seeds})
    assert "cover" not in answer
    expected = pipeline(seeds=seeds, truncation=0.9).images
    assert all(same(tile, image) for tile, image in zip(answer["tiles"], expected, strict=True))


@pytest.mark.parametrize(
    "payload",
    (
        None,
        [],
        {},
        {"truncation": "1"},
        {"truncation": float("nan")},
        {"truncation": 1, "x": 1},
        {"truncation": 1, "x": float("inf"), "y": 0},
        {"truncation": 1, "x": 1e300, "y": 0},
        {"truncation": 1, "x": [1], "y": 0},
        {"truncation": 1, "tiles": [-1]},
        {"truncation": 1, "tiles": [None]},
        {"truncation": 1, "tiles": "12"},
        {"truncation": 1, "tiles": [1] * (MOST_TILES + 1)},
    ),
)
def test_the_crate_refuses_in_words(model: Model, payload: object, caplog):
    with caplog.at_level(logging.WARNING, "gan.studio"):
        answer = checks.for_the_page(Crate(model).look)(payload)
    sentence, fields = answer["words"]
    said = sentence.format(**fields)
    assert answer["refused"] == f"{said[0].upper()}{said[1:]}." and sentence in refusals("de")
    assert len(caplog.messages) == 1 and "\n" not in caplog.messages[0]


def test_what_a_browser_remembers_is_not_trusted():
    sound = {"address": "seed=1", "parents": ["seed=2"]}
    assert kept([sound, None, 7, {"address": 1}, {"parents": []}, {"address": "seed=3", "parents": "x"}]) == [
        sound,
        {"address": "seed=3", "parents": []},
    ]
    assert kept({"a": 1}) == kept(None) == []
    assert len(kept([sound] * 1000)) == MOST_KEPT


def test_every_word_is_there_in_every_language_and_can_stand_in_an_attribute():
    keys = [key for key in ENGLISH if not key.startswith("refused: ")]
    for language in LANGUAGES.values():
        assert [key for key in language if not key.startswith("refused: ")] == keys
        for key, said in language.items():
            english = ENGLISH.get(key, key)
            assert said and not set('"<>`$') & set(said), key
            assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", said)), key
    studio = Path(app.__file__).parent / "gan/studio"
    used = "".join(file.read_text() for kind in ("py", "js", "html") for file in studio.rglob(f"*.{kind}"))
    # by its whole name, or as `layout-${name}`
    names = {key: rf"['\"]{key}['\"]|`{key.partition('-')[0]}-\$" for key in keys}
    assert [key for key, name in names.items() if not re.search(name, used)] == []


def test_every_refusal_is_there_in_every_language():
    said = set()
    files = list((Path(app.__file__).parent / "gan/studio").rglob("*.py"))
    for file in files:
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            place = {"Refused": 0, "number": 1, "whole": 1, "letters": 1}.get(called)  # where English words stand
            if place is not None and isinstance(call.args[place], ast.Constant):
                said.add(call.args[place].value)
    assert len(said) > 30
    program = "".join(file.read_text() for file in files)
    for name in LANGUAGES.keys() - {"en"}:
        translated = refusals(name)
        assert said <= translated
        assert [english for english in translated if f'"{english}"' not in program] == []


def test_visitors_are_served_in_turn(model: Model):
    address, drawn, stop = model.address(1), [0] * 8, threading.Event()

    def visitor(number: int) -> None:
        while not stop.is_set():
            model.draw([address])
            drawn[number] += 1

    visitors = [threading.Thread(target=visitor, args=[number]) for number in range(8)]
    for one in visitors:
        one.start()
    while sum(drawn) < 800:
        time.sleep(0.01)
    stop.set()
    for one in visitors:
        one.join()
    assert min(drawn) > max(drawn) / 2, drawn


def test_a_space_lends_its_gpu_to_the_loop_only(pipeline: AlbumCoverPipeline, monkeypatch: pytest.MonkeyPatch):
    lent = []

    def gpu(duration: int):
        return lambda function: lambda *values: (lent.append(duration), function(*values))[1]

    monkeypatch.setattr(model_file, "spaces", SimpleNamespace(GPU=gpu))
    model = Model(pipeline, "user/covers")
    model.draw([model.address(FIRST_SEED), model.between(1, 2, 0.5, 1.0)])
    assert not lent
    assert len(model.loop(1, 2, 12, 1.0)) == 12 and len(lent) == 1
    assert len(model.film(torch.zeros(12, 16), [model.address(1)] * 12)) == 12 and len(lent) == 2
