from pathlib import Path

import pytest
import torch
from datasets import IterableDataset, load_dataset

from tests.helpers.drawn import draw_cover
from tests.helpers.preparing import program
from train.covers import CoversError, load_covers
from train.covers_stream import StreamedCovers, first_covers, stream_covers, stream_genres


COUNT = 23


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn covers, prepared and so with a card that tells how many there are."""
    folder = tmp_path_factory.mktemp("streamed")
    (folder / "pile").mkdir()
    for seed in range(COUNT):
        draw_cover(seed, 32).save(folder / "pile" / f"{seed}.png")
    arguments = ("--resolution", 16, "--validation_fraction", 0, "--keep_duplicates")
    assert program(folder / "pile", "--output_dir", folder / "covers", *arguments)[0] == 0
    return folder / "covers"


@pytest.fixture(scope="module")
def genres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve covers: four of jazz, four of rock, four of no genre. (`datasets` takes folders of one name for one.)"""
    folder = tmp_path_factory.mktemp("genres")
    (folder / "pile").mkdir()
    rows = ["file,genre"]
    for seed in range(12):
        draw_cover(seed, 32).save(folder / "pile" / f"{seed}.png")
        rows += [f"{seed}.png,{('jazz', 'rock')[seed % 3]}"] if seed % 3 < 2 else []
    (folder / "genres.csv").write_text("\n".join(rows) + "\n")
    arguments = ("--resolution", 16, "--validation_fraction", 0, "--keep_duplicates")
    labels = ("--labels", folder / "genres.csv")
    assert program(folder / "pile", "--output_dir", folder / "covers-twelve", *arguments, *labels)[0] == 0
    return folder / "covers-twelve"


def opened(dataset: Path, seed: int = 0) -> StreamedCovers:
    return stream_covers(str(dataset), 16, seed=seed)


def test_every_cover_comes_once_in_each_epoch_in_another_order(dataset: Path) -> None:
    covers = opened(dataset)
    first, second = (covers.batch(epoch * COUNT, COUNT).flatten(1) for epoch in range(2))
    assert len(covers) == COUNT and first.shape == (COUNT, 16 * 16 * 3)
    assert len(first.unique(dim=0)) == COUNT and torch.equal(first.unique(dim=0), second.unique(dim=0))
    assert not torch.equal(first, second)


def test_the_order_is_a_function_of_seed_stream_and_position(dataset: Path) -> None:
    straight = opened(dataset).batch(0, 3 * COUNT)
    parts = opened(dataset)
    assert torch.equal(torch.cat([parts.batch(p, 3) for p in range(0, 3 * COUNT, 3)]), straight)
    assert torch.equal(opened(dataset).batch(40, 9), straight[40:49])  # as after a resume
    assert torch.equal(parts.batch(5, 9), straight[5:14])
    assert not torch.equal(opened(dataset).batch(0, 3 * COUNT, stream=1), straight)
    assert not torch.equal(opened(dataset, seed=1).batch(0, 3 * COUNT), straight)


def test_two_processes_share_the_batches(dataset: Path) -> None:
    straight, here, there = opened(dataset).batch(0, 80), opened(dataset), opened(dataset)
    for position in range(0, 80, 8):
        both = torch.cat([here.batch(position, 4), there.batch(position + 4, 4)])
        assert torch.equal(both, straight[position : position + 8])


def test_genres_come_with_their_covers(genres: Path) -> None:
    kept = load_covers(str(genres), 16, labelled=True)
    known = dict(zip([cover.numpy().tobytes() for cover in kept[range(12)]], kept.labels.tolist(), strict=True))
    streamed = stream_covers(str(genres), 16, labelled=True)
    assert stream_genres(str(genres)) == ["jazz", "rock"]
    for position, size, stream in ((0, 8, 0), (5, 3, 1), (8, 8, 0)):  # over the end of an epoch
        covers = [cover.numpy().tobytes() for cover in streamed.batch(position, size, stream)]
        assert streamed.batch_labels(position, size, stream).tolist() == [known[cover] for cover in covers]
    assert sorted(known.values()) == [0] * 4 + [1] * 4 + [2] * 4  # the last have none
    first = first_covers(streamed, 12)
    again = zip([cover.numpy().tobytes() for cover in first[range(12)]], first.labels.tolist(), strict=True)
    assert dict(again) == known
    assert opened(genres).batch_labels(0, 8) is None  # nobody asked


def test_some_are_kept_to_measure_against(dataset: Path) -> None:
    kept = first_covers(opened(dataset), 7)
    assert len(kept) == 7 and len(first_covers(opened(dataset), 100)) == COUNT
    expected = opened(dataset).batch(0, 7).flatten(1)
    assert torch.equal(kept.batch(0, 7).flatten(1).unique(dim=0), expected.unique(dim=0))


def test_what_cannot_be_streamed_is_one_line(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(CoversError, match="no such folder"):
        stream_covers(str(tmp_path / "nothing"), 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoversError, match="neither Parquet files nor pictures"):
        stream_covers(str(tmp_path / "empty"), 16)
    with pytest.raises(CoversError, match="does not tell how many"):
        StreamedCovers(IterableDataset.from_generator(lambda: iter([{"image": None}])), "image", 16)
    with pytest.raises(CoversError, match="has no column `genre`"):
        stream_covers(str(dataset), 16, labelled=True)
    with pytest.raises(CoversError, match="is 16x16, the recipe wants 32 px"):
        stream_covers(str(dataset), 32).batch(0, 1)
    rows = load_dataset(str(dataset), split="train", streaming=True)
    rows.info.splits["train"].num_examples = 2 * COUNT  # as a card tells that somebody wrote by hand
    wrong = StreamedCovers(rows, "image", 16)
    with pytest.raises(CoversError, match=f"its card tells of {2 * COUNT} covers, and there are {COUNT}"):
        wrong.batch(0, COUNT + 1)
