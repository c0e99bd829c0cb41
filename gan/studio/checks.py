"""What visitors and programs may ask for: the sliders' limits hold in a browser only, so all of it is checked here."""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import gradio as gr

from gan.errors import kind_and_place
from gan.pipeline import LARGEST_SEED


LARGEST_TRUNCATION = 1.5
FEWEST_FRAMES, MOST_FRAMES = 12, 120  # of a loop

log = logging.getLogger("gan.studio")


class Refused(ValueError):
    """Refuse a value, in a sentence for the one who gave it, without the value itself (see `in_words`).

    Args:
        sentence: in English, with `{name}` where one of `fields` stands; locale/de.json has it in German.
        value: what was given.
        fields: of the sentence: words that de.json has too, names and numbers.
    """

    def __init__(self, sentence: str, value: object, **fields: object):
        super().__init__(sentence.format(**fields))
        self.sentence, self.value, self.fields = sentence, value, fields


def seed(value: object) -> int:
    """Return `value` as a seed. Raises Refused unless it is a whole number from 0 to 4294967295."""
    return whole(value, "a seed", 0, LARGEST_SEED)


def frames(value: object, most: int = MOST_FRAMES) -> int:
    """Return `value` as the length of a film. Raises Refused unless it is a whole number from 12 to `most`."""
    return whole(value, "the number of frames", FEWEST_FRAMES, most)


def truncation(value: object) -> float:
    """Return `value` as a truncation. Raises Refused unless it is a number from 0 to 1.5."""
    return number(value, "truncation", 0, LARGEST_TRUNCATION)


def position(value: object) -> float:
    """Return `value` as a place on a walk. Raises Refused unless it is a number from 0 to 1."""
    return number(value, "the position", 0, 1)


def in_words(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Make an endpoint that tells its caller in words what it refuses, and notes it in the log in one line."""

    @wraps(endpoint)
    def checked(*values: object) -> Any:
        try:
            return endpoint(*values)
        except Exception as problem:
            # by the name that programs call it, which it gets later
            raise gr.Error(_told(checked, _in_words(checked, problem)), print_exception=False) from None

    return checked


def for_the_page(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that a script of the page calls.

    Its answer to a wrong value is `{"refused": sentence, "words": [sentence, fields]}`, the latter as in `Refused`:
    the page has it in its visitor's language (`refusal` in shell/page.js).
    """

    @wraps(function)
    def checked(payload: object) -> dict[str, Any]:
        try:
            return function(payload)
        except Exception as problem:
            return _refusal(function, _in_words(function, problem))

    return checked


def for_the_page_while(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do what `for_the_page` does, for a function that gives its answer bit by bit."""

    @wraps(function)
    def checked(payload: object) -> Iterator[dict[str, Any]]:
        try:
            yield from function(payload)
        except Exception as problem:
            yield _refusal(function, _in_words(function, problem))

    return checked


def _in_words(function: Callable[..., Any], problem: Exception) -> Refused:
    """Return whatever went wrong, as a refusal; what nobody thought of stands in the log by its kind and place."""
    if isinstance(problem, Refused):
        return problem
    log.error("%s failed: %s", function.__name__, kind_and_place(problem))
    return Refused("this went wrong on the server", None)


def _refusal(function: Callable[..., Any], refusal: Refused) -> dict[str, Any]:
    return {"refused": _told(function, refusal), "words": [refusal.sentence, refusal.fields]}


def _told(endpoint: Callable[..., Any], refusal: Refused) -> str:
    # the value goes nowhere: what a visitor writes is nobody's business, and a message is shown as HTML
    log.warning("%s refused a value of type %s: %s", endpoint.__name__, type(refusal.value).__name__, refusal.sentence)
    sentence = str(refusal)
    return f"{sentence[0].upper()}{sentence[1:]}."


def number(value: Any, name: str, low: float, high: float) -> float:
    """Return `value` as a number. Raises Refused, with its `name`, unless it is one from `low` to `high`."""
    if not _is_number(value) or not low <= value <= high:  # NaN is in no range
        raise Refused("{name} is a number from {low} to {high}", value, name=name, low=f"{low:g}", high=f"{high:g}")
    return float(value)


def whole(value: Any, name: str, low: int, high: int) -> int:
    """Return `value` as a whole number. Raises Refused, with its `name`, unless it is one from `low` to `high`."""
    # browsers know one kind of number, so that 7 may arrive as 7.0
    if not _is_number(value) or not low <= value <= high or value != int(value):
        raise Refused("{name} is a whole number from {low} to {high}", value, name=name, low=low, high=high)
    return int(value)


def one_of(value: object, name: str, known: Iterable[str]) -> str:
    """Return `value` as one of `known`, or "" for none. Raises Refused, with its `name`, unless it is one."""
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or value not in known or value == "#rrggbb":
        raise Refused("{name} is one of {known}, or none", value, name=name, known=", ".join(known))
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
