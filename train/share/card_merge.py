"""Keep what people wrote on a card: a new card is merged with the one in the repository.

A card that is sent ends with a comment that holds the hashes of what the program wrote. From these the next upload
knows which paragraphs and keys of the front matter people have added, changed or deleted since.
"""

import hashlib
import json
import re
from difflib import SequenceMatcher
from typing import Any

import yaml


MARK = "<!-- written by train.share: "
END = " -->"
FRONT_MATTER = re.compile(r"---\n(.*?)\n?---[ \t]*(?:\n|$)", re.DOTALL)
# What says where the files lie must fit the files.
OURS = ("configs", "dataset_info", "library_name", "pipeline_tag")


def merge_cards(new: str, there: str | None, decided: tuple[str, ...] = ()) -> str:
    """Return the card to send: `new`, with what people wrote on the one that is there.

    Args:
        new: as the program wrote it, front matter included.
        there: the card in the repository; None where there is none.
        decided: keys of the front matter that the user asked for just now, whatever the other card says.
    """
    data, text = _split(new)
    asked = {key: data[key] for key in decided if key in data}
    paragraphs = _paragraphs(text)
    record = {"text": [_hash(p) for p in paragraphs], "data": {key: _hash(value) for key, value in data.items()}}
    if there is not None:
        their_data, their_text = _split(there)
        their_paragraphs, before = _paragraphs(their_text), _record(there)
        if before is None:  # not from here: all that is not in the new one is theirs, and comes first
            before = {"text": [], "data": {}}
            their_paragraphs = [p for p in their_paragraphs if _hash(p) not in record["text"]]
        data = _merge_data(data, their_data, before["data"]) | asked
        paragraphs = _merge_text(paragraphs, their_paragraphs, before["text"])
    comments = "".join(f"{line}\n" for line in _comments(there or ""))
    head = f"---\n{comments}{yaml.safe_dump(data, sort_keys=False, allow_unicode=True)}---\n\n" if data else ""
    return f"{head}{chr(10).join(f'{p}{chr(10)}' for p in paragraphs)}\n{MARK}{json.dumps(record)}{END}\n"


def _merge_data(new: dict[str, Any], there: dict[str, Any], before: dict[str, str]) -> dict[str, Any]:
    merged = dict(new)
    for key in before:
        if key not in there and key not in OURS:
            merged.pop(key, None)  # somebody took it out
    for key, value in there.items():
        if before.get(key) == _hash(value):
            continue
        if key in OURS and key in new:
            if key == "configs" and isinstance(new[key], list):
                merged[key] = new[key] + _other_configs(value, new[key])
            continue
        if isinstance(value, list) and isinstance(new.get(key), list):
            value = value + [one for one in new[key] if one not in value and key not in before]
        merged[key] = value
    return merged


def _other_configs(there: object, ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the configurations of a dataset that people named beside ours."""
    names = {config.get("config_name") for config in ours if isinstance(config, dict)}
    theirs = there if isinstance(there, list) else []
    return [config for config in theirs if isinstance(config, dict) and config.get("config_name") not in names]


def _merge_text(new: list[str], there: list[str], before: list[str]) -> list[str]:
    """Return `new` with what changed between the paragraphs of hashes `before` and those `there`."""
    after: dict[int, list[str]] = {}  # their paragraphs, by the number of the old one that they follow
    gone: set[int] = set()
    for what, begin, end, first, last in SequenceMatcher(None, before, [_hash(p) for p in there], False).get_opcodes():
        if what != "equal":
            gone |= set(range(begin, end))
            after.setdefault(end - 1 if end > begin else begin - 1, []).extend(there[first:last])
    place: dict[int, int] = {-1: -1}  # of an old paragraph among the new ones
    for _, begin, end, first, last in SequenceMatcher(None, before, [_hash(p) for p in new], False).get_opcodes():
        for number in range(begin, end):
            place[number] = min(first + number - begin, last - 1)
    dropped = {place[number] for number in gone if place[number] >= 0}
    dropped -= {place[number] for number in range(len(before)) if number not in gone}
    follow: dict[int, list[str]] = {}
    for number in sorted(after):
        follow.setdefault(place[number], []).extend(after[number])
    merged = follow.pop(-1, [])
    for number, paragraph in enumerate(new):
        if number not in dropped:
            merged.append(paragraph)
        merged += follow.get(number, [])
    return merged


def _comments(card: str) -> list[str]:
    """Return the lines of the front matter that are comments, which YAML's reader leaves out."""
    found = FRONT_MATTER.match(card.replace("\r\n", "\n"))
    return [line for line in found[1].split("\n") if line.startswith("#")] if found else []


def _split(card: str) -> tuple[dict[str, Any], str]:
    """Split a card into front matter and text, without the mark."""
    card = re.sub(rf"\n*{re.escape(MARK)}.*?{re.escape(END)}\n*", "\n", card.replace("\r\n", "\n"), flags=re.DOTALL)
    found = FRONT_MATTER.match(card)
    if not found:
        return {}, card
    try:
        data = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return {}, card
    return (data, card[found.end() :]) if isinstance(data, dict) else ({}, card[found.end() :])


def _paragraphs(text: str) -> list[str]:
    """Return the pieces between empty lines; a block of code is one piece."""
    pieces: list[str] = []
    fenced = False
    for line in text.strip("\n").split("\n"):
        if not pieces or (not line.strip() and not fenced):
            pieces.append(line)
        else:
            pieces[-1] = f"{pieces[-1]}\n{line}" if pieces[-1].strip() or fenced else line
        fenced ^= line.lstrip().startswith("```")
    return [piece.strip("\n") for piece in pieces if piece.strip()]


def _hash(value: object) -> str:
    text = value.rstrip() if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _record(card: str) -> dict[str, Any] | None:
    found = re.search(rf"{re.escape(MARK)}(.*?){re.escape(END)}", card, re.DOTALL)
    try:
        record = json.loads(found[1]) if found else None
    except (ValueError, RecursionError):
        return None
    good = isinstance(record, dict) and isinstance(record.get("text"), list) and isinstance(record.get("data"), dict)
    return record if good else None
