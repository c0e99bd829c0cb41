"""The lessons' words in both languages."""

import json

from gan.studio.tabs.learn.learn import HERE


def test_what_there_is_to_read_on_is_named_in_german_in_german() -> None:
    english, german = (
        json.loads((HERE / f"lessons/words/{name}.json").read_text())["lessons"] for name in ("en", "de")
    )
    for lesson, words in german.items():
        for (label, address), (other, same) in zip(words["sources"], english[lesson]["sources"], strict=True):
            assert label != other and not {"and", "al.", "the"} & set(label.split()), label
            assert address == same
