"""What goes wrong, in one line: on the command line, and between here and the Hub, where it never holds the token.

Whatever asks the Hub imports its client; the first words of a program, `--help` or a mistake, do not wait for that.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from unicodedata import category


if TYPE_CHECKING:
    from _typeshed import SupportsWrite

HUB_ID = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)  # not ../covers
LONGEST_NAMED = 60  # characters of a name in a list


class OutputLost(Exception):
    """Say that standard output takes no more; `problem` says why."""

    def __init__(self, problem: OSError):
        super().__init__(str(problem))
        self.problem = problem


def tell(line: str) -> None:
    """Print a line at once, or nothing where it is empty. Raises OutputLost where standard output takes no more."""
    try:
        print(printable(line), end="\n" * bool(line), flush=True)
    except OSError as problem:
        raise OutputLost(problem) from problem


def printable(line: str) -> str:
    """Return a line in which a file's name may stand: bytes that are no UTF-8 become the replacement sign."""
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        # "default: None", "default: False" and "default: []" tell nobody anything.
        silent = any(action.default is nothing for nothing in (None, False)) or action.default == []
        return action.help if silent else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Parse arguments; `--help` shows the defaults, and a mistake is one line instead of the whole usage."""

    def __init__(self, **kwargs: Any):
        super().__init__(formatter_class=_Help, allow_abbrev=False, **kwargs)

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Print the help. Raises OutputLost, which argparse would pass over, where standard output takes no more."""
        if file is not None:
            return super().print_help(file)
        tell(self.format_help().rstrip("\n"))

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit with 2."""
        self.exit(2, one_line(f"{self.prog}: {message} (see --help)") + "\n")


def first_line(problem: object, lines: int = 1) -> str:
    """Return the first line of an error or a text, or so many `lines` as one, in at most 300 characters; never ""."""
    said = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return " ".join(said[:lines])[:300] or type(problem).__name__


def one_line(text: str) -> str:
    """Return a text in which what ends a line, or does something to a terminal, is written out, such as \\n."""
    strange = {sign for sign in text if category(sign)[0] == "C" or category(sign) in ("Zl", "Zp")}
    return "".join(sign.encode("unicode_escape").decode() if sign in strange else sign for sign in text)


def some(names: Sequence[str], most: int = 10) -> str:
    """Return names of a stranger's as a list for one line: the first so many of them, each cut short, and how many
    more there are; "none" where there are none."""
    shown = [name if len(name) <= LONGEST_NAMED else f"{name[:LONGEST_NAMED]}…" for name in names[:most]]
    more = [f"and {len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*shown, *more]) or "none"


def kind_and_place(problem: BaseException) -> str:
    """Return what was raised and in which line, and nothing that it quotes: that may be a visitor's."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    name = type(problem).__name__
    return f"{name} in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else name


class HubError(Exception):
    """Tell the user in one line why something cannot be shared. It never holds the token."""


def is_hub_id(name: str) -> bool:
    """Return whether `name` reads user/covers, as ids on the Hub do; a folder may be called so, too."""
    return HUB_ID.fullmatch(name) is not None


def check_id(repo_id: str) -> None:
    """Raise HubError unless `repo_id` reads user/name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise HubError(f"{repo_id!r} is no Hub id; those read user/name, of letters, digits, - _ and .") from error
    if repo_id.count("/") != 1:
        raise HubError(f"{repo_id!r} is no full Hub id; name its owner too: user/{repo_id}")


@contextmanager
def errors_in_one_line(kind: str, repo_id: str) -> Iterator[None]:
    """Turn every error of the client into a HubError. Raises one at once if there is no token, or no possible one.

    Args:
        kind: "model", "dataset" or "space".
        repo_id: what is asked for.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        raise HubError("there is no Hub token; log in with `hf auth login`, or set HF_TOKEN")
    if not (token.isascii() and token.isprintable()) or " " in token:
        # the client would show all of it in its error
        raise HubError("the Hub token holds characters that no token has; set HF_TOKEN anew")
    try:
        yield
    except HubError:
        raise
    except Exception as error:  # the client raises its own, its HTTP library's and the operating system's errors
        raise HubError(explain(error, kind, repo_id)) from error


def explain(error: BaseException, kind: str, repo_id: str) -> str:
    """Return what an error of the client means, in one line without the token."""
    from huggingface_hub import get_token

    line = _meaning(error, kind, repo_id)
    token = get_token()
    return line.replace(token, "***") if token else line


def why_no_cache(error: BaseException | None) -> str | None:
    """Return what to say where the cause of an error is that the Hub's cache cannot be written; or else None."""
    from huggingface_hub import constants

    cache = str(constants.HF_HUB_CACHE)
    while error is not None:
        name = error.filename if isinstance(error, OSError) else None
        if isinstance(name, str) and name and (cache.startswith(name) or name.startswith((cache, constants.HF_HOME))):
            assert isinstance(error, OSError)
            return f"the cache {cache} cannot be written ({error.strerror}); name a folder of yours in HF_HOME"
        error = error.__cause__ or error.__context__
    return None


def _meaning(error: BaseException, kind: str, repo_id: str) -> str:
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # how the client wraps a file that failed to go up, and why it looked into its cache
    if isinstance(error, RuntimeError | LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on (HF_HUB_OFFLINE); unset it to use the Hub"
    if told := why_no_cache(error):
        return told
    if not isinstance(error, HfHubHTTPError):
        reached = "cannot be reached: " if isinstance(error, HTTPError) else ""
        return f"{constants.ENDPOINT}: {reached}{first_line(error)}"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo_id}: the {kind} has no such revision"
    if isinstance(error, GatedRepoError):
        return f"{repo_id}: its owner lets in who applies for it; do so at {constants.ENDPOINT}/{repo_id}"
    if isinstance(error, RepositoryNotFoundError) and get_token() is None:
        return f"{repo_id}: there is no {kind} of this name, or it is private: log in with `hf auth login`"
    status = error.response.status_code
    said = first_line(error.server_message or error)
    meaning = {
        401: "the Hub does not know the token; log in anew with `hf auth login`, or set HF_TOKEN",
        402: f"{said}; a {kind} made on the Hub's website can be updated from here",
        403: f"the token may not write to it ({said}); use one with the right to write, or name another repository",
        404: f"there is no {kind} of this name, or the token may not see it, or the name is taken by something else",
        429: "the Hub asks to wait: too many requests; try again in a few minutes",
    }
    return f"{repo_id}: {meaning.get(status, f'the Hub answered {status}: {said}')}"
