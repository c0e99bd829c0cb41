"""Genres in addresses and in what the page's scripts ask for."""

import base64
import io
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan import load_pipeline
from gan.latents import blend, closed_path
from gan.nearest import build_index
from gan.pipeline import AlbumCoverPipeline
from gan.studio.address import from_png
from gan.studio.checks import Refused
from gan.studio.files import cover_png, still_webp
from gan.studio.model import Model
from gan.studio.tabs.breed import Breed
from gan.studio.tabs.crate import Crate, address_at
from gan.studio.tabs.finish import LOOP_FRAMES, Finish
from gan.studio.tabs.training import Training
from gan.studio.tabs.walk import FILM_QUALITY, Order, Walk
from gan.studio.tabs.yours import Yours
from tests.helpers.drawn import draw_cover
from tests.helpers.hub_repo import Repo
from tests.helpers.hub_server import Hub
from tests.helpers.pictures import pixels, same
from tests.helpers.tiny import GENRES, pipeline_files, tiny_pipeline


@pytest.fixture(scope="module")
def folder(genres_folder: Path) -> Path:
    return genres_folder


# ---- addresses


def test_an_address_names_its_genre(model: Model, genres_folder: Path):
    elsewhere = Model(load_pipeline(genres_folder), "user/covers")
    point = torch.randn(10, generator=torch.Generator().manual_seed(0))
    drawn = []
    for genre in ("", *GENRES):
        for address in (model.address(7, 0.8, genre), model.address_of(point, genre=genre)):
            (cover,) = model.draw([address])
            file = cover_png(cover, address)
            assert from_png(file) == address == model.read(address.query())
            assert Image.open(io.BytesIO(file)).text.get("genre", "") == address.genre == genre
            assert same(elsewhere.draw([elsewhere.read(f"?{address.query()}")])[0], cover)
            drawn.append(pixels(cover).tobytes())
    assert len(set(drawn)) == 8
    assert "seed=7&truncation=0.8&genre=R%26B&model=" in model.address(7, 0.8, "R&B").query()


def test_an_address_without_genre_is_what_it_was(model: Model, pipeline: AlbumCoverPipeline):
    query = model.address(7, 0.8).query()
    assert query == f"seed=7&truncation=0.8&model={model.name}&weights={model.weights}"
    for old in (query, f"{query}&genre="):
        assert model.read(old).genre == "" and same(model.draw([model.read(old)])[0], pipeline(7, 0.8).images[0])


def test_a_genre_that_a_generator_lacks_is_refused_in_words(model: Model):
    plain = Model(tiny_pipeline("dcgan"), "user/covers")
    many = Model(tiny_pipeline("dcgan", genres=[f"g{n}" for n in range(1000)]), "user/covers")
    for name in ("polka", "Rock", "any", "<b>", "x" * 5000, 7, ["rock"], {}, float("nan")):
        for ask in (model.genre, lambda name: model.read({"seed": 1, "genre": name or "no"})):
            with pytest.raises(Refused, match=r"^a genre is one of rock, R&B, música, or none for any$"):
                ask(name)
    with pytest.raises(Refused, match=r"g0, g1, .* g19, …, or none"):
        many.address(1, genre="rock")
    for ask in (plain.genre, lambda name: plain.read(f"seed=1&genre={name}"), lambda name: plain.address(1, 1, name)):
        with pytest.raises(Refused, match=r"^this generator knows no genres: leave it out$"):
            ask("rock")
    with pytest.raises(Refused, match="was drawn by"):  # another generator's address, whatever its genre
        plain.read(model.address(1, 1, "rock").query())


def test_covers_of_several_genres_are_drawn_in_one_batch(model: Model, pipeline: AlbumCoverPipeline):
    genres = ["rock", "", "música", "R&B", "rock"]
    drawn = model.draw([model.address(7, 0.9, genre) for genre in genres])
    asked = {"genres": [genre or None for genre in genres], "batch_size": 5}
    assert all(map(same, drawn, pipeline([7] * 5, 0.9, **asked).images))
    assert len({pixels(cover).tobytes() for cover in drawn}) == 4


# ---- the tabs


def test_the_crate_is_drawn_in_a_genre(model: Model, pipeline: AlbumCoverPipeline):
    asked = {"x": 5.5, "y": 0.25, "truncation": 0.7, "genre": "R&B", "tiles": [1, 2, 3]}
    answer = Crate(model).look(asked)
    assert all(map(same, answer["tiles"], pipeline([1, 2, 3], 0.7, genres="R&B").images))
    between = blend(pipeline.prepare_latents([5, 6, 65541, 65542]), 0.5, 0.25)[None].half().float()
    assert same(answer["cover"]["src"], pipeline(latents=between, truncation=0.7, genres="R&B").images[0])
    assert model.read(answer["cover"]["address"]) == address_at(model, 5.5, 0.25, 0.7, "R&B")
    whole = Crate(model).look({"x": 5, "y": 0, "truncation": 1, "genre": "R&B"})["cover"]
    assert whole["address"] == model.address(5, 1, "R&B").query()
    with pytest.raises(Refused, match="a genre is one of"):
        Crate(model).look(asked | {"genre": "polka"})


def test_children_and_crosses_are_of_their_first_parents_genre(model: Model, pipeline: AlbumCoverPipeline):
    breed, rock, jazz = Breed(model), model.address(3, 1, "rock"), model.address(4, 1, "música")
    litters = breed.children(rock, 0.3, 1), breed.crosses(rock, jazz, 1), [breed.faded(rock, [0.5])]
    assert {child.genre for litter in litters for child in litter} == {"rock"}
    assert {child.genre for child in breed.crosses(jazz, rock, 1)} == {"música"}
    assert {child.genre for child in breed.children(model.address(3), 0.3, 1)} == {""}
    assert breed.faded(rock, [0.0]) == rock
    shown = breed.litter({"parent": rock.query(), "difference": 0.3, "seed": 1})["children"]
    expected = pipeline(latents=model.points_of(litters[0]), genres="rock").images
    assert all(same(child["src"], cover) for child, cover in zip(shown, expected, strict=True))
    assert all("genre=rock" in child["address"] for child in shown)


def shown(frame: Image.Image) -> Image.Image:
    """Return a frame of a film as the page shows it, with losses."""
    return Image.open(io.BytesIO(still_webp(frame, FILM_QUALITY)))


def test_a_frame_of_a_film_is_of_the_nearer_covers_genre(model: Model, pipeline: AlbumCoverPipeline):
    queries = [model.address(seed, 1, genre).query() for seed, genre in ((3, "rock"), (8, ""), (4, "R&B"))]
    genres = ["rock"] * 2 + [None] * 4 + ["R&B"] * 4 + ["rock"] * 2
    asked = {"addresses": queries, "frames": 12}
    assert [one.genre or None for one in Order(model, asked).like] == genres
    expected = pipeline(latents=closed_path(pipeline.prepare_latents([3, 8, 4]), 12), genres=genres).images
    film = Image.open(io.BytesIO(base64.b64decode(Walk(model).save(asked)["file"].partition(",")[2])))
    reel = Walk(model).film(asked | {"compare": True})
    for number, cover in enumerate(expected):
        film.seek(number)
        assert same(reel["round"][number], shown(cover))
        # of 512 pixels and with losses
        small = pixels(film.convert("RGB").resize(cover.size, Image.Resampling.BOX)).astype(int)
        assert np.abs(small - pixels(cover)).mean() < 14
    straight = closed_path(pipeline.prepare_latents([3, 8, 4]), 12, straight=True)
    assert all(map(same, reel["straight"], map(shown, pipeline(latents=straight, genres=genres).images)))
    kept = [model.read(Walk(model).frame(asked | {"frame": frame})["address"]).genre for frame in range(12)]
    assert [genre or None for genre in kept] == genres


def test_a_finished_cover_keeps_its_genre(model: Model):
    finish, rock = Finish(model), model.address(3, 1, "rock")
    order = finish.read({"address": rock.query(), "layout": "poster"})
    assert order.cover == rock and from_png(finish.print(order)) == rock
    heard, synthesis = [], model.pipeline.synthesis
    hook = synthesis.register_forward_pre_hook(
        lambda _, inputs, named: heard.extend(named["labels"].tolist()), with_kwargs=True
    )
    finish.loop(order)
    hook.remove()
    assert heard == [GENRES.index("rock")] * LOOP_FRAMES


def test_a_picture_is_looked_for_among_all_and_a_copy_in_its_genre(model: Model):
    rock, any_ = model.draw([model.address(1, 1, "rock"), model.address(1)])
    covers = [*(draw_cover(seed, 16) for seed in range(40)), rock, any_]
    yours = Yours(model, build_index((cover, f"{number:064x}"[::-1]) for number, cover in enumerate(covers)))
    for genre, number in (("rock", 40), ("", 41)):
        assert yours.copies(model.address(1, 1, genre))["nearest"][0]["sha256"] == f"{number:064x}"[:-11:-1]
    heard = []
    hook = model.pipeline.synthesis.register_forward_pre_hook(lambda _, inputs: heard.append(len(inputs)))
    assert [found.genre for found, _ in islice(yours.search(any_), 3)] == [""] * 3
    hook.remove()
    assert set(heard) == {1}  # without labels, which is any


def test_a_cover_of_a_genre_through_its_training(hub: Hub, tmp_path: Path):
    repo = hub.repos["model", "user/covers"] = Repo()
    pipelines = {f"images-{n}": tiny_pipeline("dcgan", n, genres=GENRES) for n in range(3)}
    for name, pipe in (pipelines | {"images-5": tiny_pipeline("dcgan", 5)}).items():  # the last knows no genres
        repo.tags[name] = repo.commit(pipeline_files(pipe, tmp_path / name), name)
    model = Model(load_pipeline("user/covers", "images-2"), "user/covers")
    drawn = Training(model, list(repo.tags)).covers(model.address(7, 0.8, "rock"))
    for (_, cover), pipe in zip(drawn, pipelines.values(), strict=True):
        assert same(cover, pipe(7, 0.8, genres="rock").images[0])
