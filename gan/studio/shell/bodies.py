"""What the body of a request may say: values that JSON has, files that were sent to this page, arguments by name.

What is let in is rebuilt from what was checked; all else is refused in words.
"""

import inspect
import json
import math
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.utils import get_upload_folder

from gan.studio.shell.shares import Shut


DEEPEST = 16  # lists within lists of a body
KINDS = {list: "a list", int: "a whole number", str: "text of at most 100 characters"}


def read_json(body: bytes) -> Any:
    """Return what a body says: finite numbers, lists that are not deep, and files that were sent to this page.

    Raises:
        Shut: it is none of this.
    """
    try:
        said = json.loads(body, parse_constant=_not_a_number, parse_float=_finite)
        if b"\\u" in body:
            json.dumps(said, ensure_ascii=False).encode()  # which half of a surrogate pair cannot be
        return _checked(said, DEEPEST)
    except (ValueError, RecursionError):  # of UTF-8 as of JSON
        raise Shut(400, "This is not JSON that the page takes.") from None


def _not_a_number(name: str) -> None:
    return None  # NaN and infinities, which JSON does not have: whoever checks the value refuses None in its own words


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _checked(said: Any, deepest: int) -> Any:
    if not isinstance(said, dict | list):
        return said
    if not deepest:
        raise Shut(400, "Lists within lists, too many.")
    if isinstance(said, list):
        return [_checked(part, deepest - 1) for part in said]
    meta = said.get("meta")
    if "path" in said or "url" in said or (isinstance(meta, dict) and "_type" in meta):
        return _file(said)
    return {key: _checked(part, deepest - 1) for key, part in said.items()}


def _file(said: dict[str, Any]) -> dict[str, Any]:
    """Believe of a file only where it lies: in the folder of what was sent to the page. Nothing is fetched."""
    path, name = said.get("path"), said.get("orig_name")
    if not isinstance(path, str) or len(path) > 1000:
        raise Shut(400, "A file is sent to /gradio_api/upload first.")
    try:
        check_file(path)
    except Shut:
        raise Shut(400, "A file is sent to /gradio_api/upload first; the page fetches none.") from None
    name = name[:200] if isinstance(name, str) else None
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def check_file(path: str) -> None:
    """Raise Shut unless `path` is a regular file in the folder where the page keeps what it made and was sent."""
    folder = Path(get_upload_folder()).resolve()
    try:
        file = Path(path)
        if not file.resolve().is_relative_to(folder) or not file.is_file():
            raise Shut(404, "There is no such file.")
    except (OSError, ValueError):
        raise Shut(404, "There is no such file.") from None


def known(said: dict[str, Any], fields: dict[str, type]) -> dict[str, Any]:
    """Return those of `fields` that a body has. Raises Shut when one is missing, or of another kind."""
    found = {}
    for name, kind in fields.items():
        key = name.strip("()")
        if key != name and said.get(key) is None:
            continue
        if key not in said:
            raise Shut(400, f"{key} is missing.")
        value = said[key]
        fits = (
            isinstance(value, kind)
            and not isinstance(value, bool)
            and not (isinstance(value, str) and len(value) > 100)
        )
        if kind is not object and not fits:
            raise Shut(400, f"{key} is {KINDS[kind]}.")
        found[key] = value
    return found


def check_names(function: BlockFunction, said: dict[str, Any]) -> None:
    """Raise Shut unless a body names the arguments of an endpoint, and all that have no default."""
    arguments = inspect.signature(function.fn).parameters
    needed = {name for name, argument in arguments.items() if argument.default is argument.empty}
    if not needed <= said.keys() <= arguments.keys():
        raise Shut(400, f"{function.api_name} takes {', '.join(arguments)}.")


def check_data(function: BlockFunction, said: dict[str, Any]) -> None:
    """Raise Shut unless there are as many values as a function takes, and a file wherever it takes one."""
    taken = [component for component in function.inputs if not component.skip_api]
    if "data" in said and len(said["data"]) not in (len(function.inputs), len(taken)):
        raise Shut(400, f"{function.api_name} takes {len(taken)} values.")
    data, names = said.get("data"), list(inspect.signature(function.fn).parameters) if function.fn else []
    for place, component in enumerate(function.inputs):
        if isinstance(component, gr.File):
            given = data[place : place + 1] if isinstance(data, list) else [said.get(names[place])]
            if not given or not isinstance(given[0], dict) or "path" not in given[0]:
                raise Shut(400, "A picture is a file that was sent to /gradio_api/upload first.")
