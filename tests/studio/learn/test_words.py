"""The lessons' words in both languages."""

import json
import re
from pathlib import Path

import pytest

from gan.studio.tabs.learn.learn import HERE


def test_what_there_is_to_read_on_is_named_in_german_in_german() -> None:
    english, german = (
        json.loads((HERE / f"lessons/words/{name}.json").read_text())["lessons"] for name in ("en", "de")
    )
    for lesson, words in german.items():
        for (label, address), (other, same) in zip(words["sources"], english[lesson]["sources"], strict=True):
            assert label != other and not {"and", "al.", "the"} & set(label.split()), label
            assert address == same


@pytest.mark.parametrize("folder", [HERE / "lessons/words", HERE.parents[1] / "locale"])
def test_no_sentence_is_english_in_german(folder: Path) -> None:
    """A sentence with markup comes apart on the page, where a browser's test does not know it again."""

    def texts(words: object, place: str = "") -> dict[str, str]:
        if isinstance(words, str):
            return {place: words}
        parts = words.items() if isinstance(words, dict) else enumerate(words) if isinstance(words, list) else ()
        return {key: text for name, part in parts for key, text in texts(part, f"{place}/{name}").items()}

    english, german = (texts(json.loads((folder / f"{name}.json").read_text())) for name in ("en", "de"))
    assert (
        english.keys() <= german.keys() and len(german) > 200
    )  # German has what is refused, too, by its English line
    shared = [place for place, text in english.items() if german[place] == text]
    assert not [german[place] for place in shared if len(re.sub("<[^>]*>", " ", german[place]).split()) > 3]
