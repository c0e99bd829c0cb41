"""The page, as a program of its own or in this process."""

import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    import gradio

    from gan.run_page.runs import Runs


ROOT = Path(__file__).parents[2]


def free_port() -> str:
    """The number of a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@contextmanager
def launched(page: "gradio.Blocks", runs: "Runs | None" = None, **options: object) -> Iterator[str]:
    """Show a page from this process, e.g. with `auth`; yields its address."""
    from gan.studio import launch_options  # here, because most that ask for a port need no page

    options |= {"server_port": int(free_port()), "prevent_thread_lock": True, "quiet": True} | launch_options(runs)
    _, address, _ = page.launch(**options)
    yield address
    page.close()


@contextmanager
def serving(
    command: Sequence[str | Path], folder: Path = ROOT, environment: dict[str, str] | None = None
) -> Iterator[tuple[str, str, subprocess.Popen]]:
    """Run a command that starts the page: its address, what it said until it was there, and its process."""
    pipe = subprocess.PIPE
    page = subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    try:
        said = ""
        while not (address := re.search(r"is at (http\S+)", said)):
            line = page.stdout.readline()
            assert line, f"the page did not start: {said}"
            said += line
        yield address[1], said, page
    finally:
        page.terminate()
        page.communicate(timeout=60)  # of a busy machine
