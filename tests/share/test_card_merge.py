"""What people write on a card stays, at every upload; what the program wrote is renewed."""

from pathlib import Path

import pytest
from huggingface_hub import RepoCard

from tests.helpers.hub_server import Hub
from tests.helpers.sharing import tiny_run
from train.share.card_merge import merge_cards
from train.share.hub import HubError, upload_model
from train.share.licenses import LICENSES, license_id


def card(images: int, tags: str = "[gan]") -> str:
    code = "```python\nx = 1\n\ny = 2\n```"
    head = f"---\nlibrary_name: diffusers\ntags: {tags}\n---\n\n# Covers\n\n"
    return f"{head}Shown {images} covers.\n\n{code}\n\n## Limits\n\nNo words.\n"


def test_what_is_unchanged_is_renewed() -> None:
    first = merge_cards(card(10), None)
    second = merge_cards(card(20), first)
    assert "Shown 20 covers." in second and "Shown 10" not in second
    assert second == merge_cards(card(20), None) and merge_cards(card(20), second) == second
    assert "x = 1\n\ny = 2" in second and RepoCard(second).data["tags"] == ["gan"]


def test_what_people_wrote_stays() -> None:
    there = merge_cards(card(10), None).replace("# Covers\n", "# Covers\n\nMy own words.\n\nAnd more.\n")
    there = there.replace("No words.", "No words, says me.").replace(
        "tags:\n- gan", "license: mit\ntags:\n- gan\n- mine"
    )
    for images in (20, 30, 40):
        there = merge_cards(card(images), there)
        assert f"Shown {images} covers." in there and there.count("Shown") == 1
        assert there.count("My own words.\n\nAnd more.") == 1 and there.index("My own") < there.index("Shown")
        assert "No words, says me." in there and "No words.\n" not in there
        data = RepoCard(there).data
        assert data["license"] == "mit" and data["tags"] == ["gan", "mine"]


def test_comments_and_configurations_of_people_stay() -> None:
    ours = "configs:\n- config_name: default\n  data_files: data/{}-*\n"
    first, second = (card(10).replace("tags:", f"{ours.format(name)}tags:") for name in ("old", "new"))
    theirs = "- config_name: mine\n  data_files: mine/*\n# why it is here\ntags:"
    there = merge_cards(first, None).replace("tags:", theirs, 1)
    for _ in range(2):
        there = merge_cards(second, there)
        names = {config["config_name"]: config["data_files"] for config in RepoCard(there).data.to_dict()["configs"]}
        assert names == {"default": "data/new-*", "mine": "mine/*"} and there.count("# why it is here") == 1


def test_what_people_took_out_stays_out() -> None:
    there = merge_cards(card(10), None).replace("## Limits\n\nNo words.\n", "").replace("tags:\n- gan\n", "")
    there = merge_cards(card(20), there)
    assert "Limits" not in there and "No words" not in there and "Shown 20" in there
    assert "tags" not in RepoCard(there).data.to_dict()


@pytest.mark.parametrize(
    "there", ["", "---\nlicense: mit\n---\n", "# Mine\n\nAll my own.\n", "---\n[: no YAML\n---\nMine.\n"]
)
def test_a_card_from_elsewhere_stays(there: str) -> None:
    merged = merge_cards(card(10), there)
    assert "Shown 10 covers." in merged
    assert ("Mine" in merged) == ("Mine" in there) and ("license: mit" in merged) == ("license: mit" in there)


def test_an_edited_card_survives_uploads(hub: Hub, tmp_path: Path) -> None:
    folder = tiny_run(tmp_path / "run")
    upload_model(folder, "user/covers", license="CC BY-NC 4.0")
    repo = hub.repos["model", "user/covers"]
    text = repo.files["README.md"].decode()
    assert RepoCard(text).data["license"] == "cc-by-nc-4.0"
    edited = text.replace("license: cc-by-nc-4.0", "license: mit\nthumbnail: mine.png") + "\nWritten on the Hub.\n"
    repo.commit({"README.md": edited.encode()}, "edited")
    for _ in range(2):
        upload_model(folder, "user/covers")
        text = repo.files["README.md"].decode()
        data = RepoCard(text).data.to_dict()
        assert data["license"] == "mit" and data["thumbnail"] == "mine.png"
        assert text.count("Written on the Hub.") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC BY-NC 4.0", "cc-by-nc-4.0"),
        ("cc_by_sa_4.0", "cc-by-sa-4.0"),
        ("Creative Commons Attribution 4.0 International", "cc-by-4.0"),
        ("Apache 2", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("GPLv3", "gpl-3.0"),
        ("GPL-3.0-or-later", "gpl-3.0"),
        ("MIT License", "mit"),
        ("CC0", "cc0-1.0"),
        ("OTHER", "other"),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "cc-by-nc-4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/legalcode", "cc0-1.0"),
        ("http://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
        ("Attribution-NonCommercial-ShareAlike 4.0 International", "cc-by-nc-sa-4.0"),
        ('BSD 3-Clause "New" or "Revised" License', "bsd-3-clause"),
        ("Mozilla Public License 2.0", "mpl-2.0"),
        ("GNU Affero GPL v3", "agpl-3.0"),
        ("GPL-3.0+", "gpl-3.0"),
        ("ODbL 1.0", "odbl"),
        ("\uff23\uff23 \uff22\uff39\u2011\uff14.\uff10", "cc-by-4.0"),
    ],
)
def test_a_licence_may_be_spelled_as_people_do(text: str, expected: str) -> None:
    assert license_id(text) == expected
    assert all(license_id(name) == name for name in LICENSES)


def test_a_licence_that_the_hub_does_not_know_is_refused_before_any_work(hub: Hub, tmp_path: Path) -> None:
    for text in ("cc-by", "mine", "", "GNU", "Attribution", "x" * 10_000):
        with pytest.raises(HubError, match="--license"):
            license_id(text)
    with pytest.raises(HubError, match=r"--license cc-by: .*near are cc-by-"):
        upload_model(tmp_path, "user/covers", license="cc-by")
    assert hub.requests == []
