"""The page of Album Cover GAN: `python app.py`, then open http://127.0.0.1:7860. This file is also the Space."""

import argparse
import contextlib
import errno
import gc
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan.errors import OutputLost, Parser, is_hub_id, one_line, tell
from gan.outputs import complain, exit_code
from gan.own_folder import name_own_folder


if TYPE_CHECKING:
    from gan.run_page.runs import Runs

# before Gradio is imported
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# or else Gradio computes statistics of the last 10,000 calls anew after each call
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")

SHIPPED = "gan/pretrained"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line. Raises SystemExit: 0 after --help, 2 on a mistake."""
    # a Space says through Gradio's own variables where it wants the page
    host = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = os.environ.get("GRADIO_SERVER_PORT") or "7860"
    parser = Parser(prog="app.py", description=__doc__)
    parser.add_argument(
        "--model",
        default=os.environ.get("MODEL_ID") or None,
        help="a pipeline folder, or a Hub id such as user/covers; the variable MODEL_ID says the same; "
        "without either the generator that ships with the project",
    )
    parser.add_argument(
        "--revision",
        default=os.environ.get("MODEL_REVISION") or None,
        help="branch, tag or commit of the Hub id; the variable MODEL_REVISION says the same; without either main",
    )
    parser.add_argument("--host", default=host, help="address to listen on; 0.0.0.0 is all")
    parser.add_argument("--port", type=_port, default=port, help="port to listen on")
    parser.add_argument(
        "--auth",
        type=_auth,
        metavar="USER:PASSWORD",
        help="ask visitors and programs for these; without it the page is open to all; the variable PAGE_AUTH says "
        "the same, and stands in no list of processes",
    )
    parser.add_argument(
        "--root_path",
        default=os.environ.get("GRADIO_ROOT_PATH") or "",
        help="where a reverse proxy shows the page, such as /covers or https://example.org/covers; without it at /",
    )
    parser.add_argument("--share", action="store_true", help="also open a public link")
    parser.add_argument(
        "--run",
        nargs="+",
        metavar="RUN",
        help="watch runs instead, while they train or later: folders that train_gan writes, a folder of such, or "
        "Hub ids to which runs are pushed",
    )
    args = parser.parse_args(arguments)
    # an empty one is a mistake, too: whoever names a secret that is not set would have a page that is open to all
    if args.auth is None and (login := os.environ.get("PAGE_AUTH")) is not None:
        try:
            args.auth = _auth(login)
        except argparse.ArgumentTypeError as mistake:
            parser.error(f"PAGE_AUTH {mistake}")
    if args.run and args.share:
        parser.error("--share opens a link to the page of a generator; --run is watched at --host and --port")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the page until it is interrupted. Returns the exit code."""
    args = parse(arguments)
    if mistake := why_not_listen(args.host, args.port):
        return _say(mistake, 2)
    if args.run:
        return watch(args)

    os.environ["GRADIO_TEMP_DIR"] = str(name_own_folder())  # before Gradio is imported
    # here and not above, because they take seconds: --help and mistakes are answered at once
    gc.disable()  # of what imports make nothing is thrown away, and to look for rubbish among it takes a second
    import logging

    import httpx

    from gan import PipelineError
    from gan.errors import first_line
    from gan.studio import build_page, launch_options
    from gan.studio.model import share_the_cpu

    gc.enable()
    share_the_cpu()
    logging.basicConfig(format="%(name)s: %(message)s")
    try:
        chosen = choose_model(args.model, args.revision)
        runs = find_run(args.model if "notice" not in chosen else None, args.revision, chosen["folder"])
        page = build_page(**chosen, has_run=runs is not None)
    except PipelineError as error:
        return _say(f"{error}; name a generator with --model", 1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as on Ctrl+C, so that Gradio clears its files away
    ask_itself_directly(args.host)
    try:
        _, local, public = page.launch(
            server_name=args.host,
            server_port=args.port,
            share=args.share,
            auth=args.auth,
            quiet=True,
            prevent_thread_lock=True,
            root_path=args.root_path,
            **launch_options(runs),
        )
    except OSError as error:
        return _say(f"cannot listen at {args.host}: {error}; choose another --port or --host", 2)
    except (ValueError, httpx.HTTPError) as error:  # Gradio asks the page whether it is there
        return _say(f"the page at {args.host} does not answer itself: {first_line(error)}", 1)
    gc.freeze()  # nor is it looked through again and again while visitors wait
    try:
        tell(f"Album Cover GAN is at {public or local} (Ctrl+C stops it)")
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # Gradio says that it ends
            page.block_thread()
    except KeyboardInterrupt:
        page.close(verbose=False)
    except OutputLost:  # a page whose address nobody learns
        page.close(verbose=False)
        raise
    return 0


def ask_itself_directly(host: str) -> None:
    """Let no proxy stand between the page and itself: Gradio asks it whether it is there before anybody may come."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [os.environ[name]] if os.environ.get(name) else []
        os.environ[name] = ",".join([*known, "localhost", "127.0.0.1", host])


def watch(args: argparse.Namespace) -> int:
    """Show the page of runs until it is interrupted. Returns the exit code."""
    from gan.run_page.pushed import follow
    from gan.run_page.runs import Runs, RunsError
    from gan.run_page.server import serve

    try:
        pushed = {name: follow(name) for name in args.run if is_on_the_hub(name)}
        runs = Runs([Path(name) for name in args.run if name not in pushed], pushed)
    except RunsError as error:
        return _say(str(error), 2)

    def ready(address: str) -> None:
        count = len(runs.list())
        shown = "a run" if count == 1 else f"{count} runs"
        tell(f"Album Cover GAN: the page of {shown} is at {address} (Ctrl+C stops it)")

    serve(runs, args.host, args.port, args.auth, ready)
    return 0


def choose_model(name: str | None, revision: str | None) -> dict[str, Any]:
    """Load the generator that is asked for, or else the one that ships with the project.

    Returns:
        The arguments of `gan.studio.build_page`; a notice among them tells why it is not the one asked for.

    Raises:
        PipelineError: the shipped one cannot be loaded either.
    """
    from gan import PipelineError, load_pipeline
    from gan.pipeline_folder import find_snapshots

    if name is None:
        return {"pipeline": load_pipeline(), "model_name": SHIPPED} | beside()
    try:
        page = {"pipeline": load_pipeline(name, revision), "model_name": public_name(name), "revision": revision}
        return page | beside(name, revision) | {"snapshots": find_snapshots(name)}
    except PipelineError as error:
        _say(f"{str(error).rstrip('.')}; showing the generator that ships with the project instead", 0)
        # the line above has all of it; visitors are shown no path of this machine
        reason = re.sub(r"(?<![\w:/])/[^\s'\"]+", "…", str(error).removeprefix(f"{name}: "))
        reason = one_line(reason).rstrip(".")
        notice = f"{public_name(name)}: {reason}. Shown instead is the generator that ships with the project."
        return {"pipeline": load_pipeline(), "model_name": SHIPPED, "notice": notice} | beside()


def beside(name: str | None = None, revision: str | None = None) -> dict[str, Any]:
    """Load what lies beside a generator for the page; what it came without, or what is damaged, is left out.

    Returns:
        Arguments of `build_page`: `folder`, `index` of the covers that it learned from, and `survey` of its own ones.
    """
    from gan.nearest import CopiesError, load_index
    from gan.pipeline_folder import COVERS_INDEX, SURVEY, find_pipeline
    from gan.survey import SurveyError, load_survey

    folder = find_pipeline(name, revision)
    found: dict[str, Any] = {"folder": folder}
    readers: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
        ("index", COVERS_INDEX, load_index),
        ("survey", SURVEY, load_survey),
    )
    for key, file, load in readers:
        if not (folder / file).exists():
            continue
        try:
            found[key] = load(folder / file)
        except (CopiesError, SurveyError) as error:
            missing = {"index": "cannot tell copies", "survey": "cannot find covers by colour"}
            _say(f"{error}; the page {missing[key]}", 0)
    return found


def find_run(name: str | None, revision: str | None, folder: Path) -> "Runs | None":
    """Return the run that made a generator, for a page of its own; None where nothing is known of it.

    Args:
        name, revision: as for `load_pipeline`.
        folder: where the pipeline lies.
    """
    from gan.run_page.pushed import PushedRun
    from gan.run_page.runs import METRICS, Runs
    from gan.untrusted import own_file

    if name and is_on_the_hub(name):
        return Runs([], {name: PushedRun(name, revision)})
    places = (folder, folder.absolute().parent)
    return next((Runs([place]) for place in places if own_file(place, METRICS)), None)


def is_on_the_hub(name: str) -> bool:
    """Return whether a name is a Hub id: it reads user/covers, and no folder or file here is called so."""
    return is_hub_id(name) and not Path(name).exists()


def public_name(name: str) -> str:
    """Return what visitors see of a model's name: a Hub id as it is, of a folder its last two parts."""
    from gan.untrusted import is_folder

    return "/".join(Path(name).absolute().parts[-2:]) if Path(name).is_absolute() or is_folder(name) else name


def why_not_listen(host: str, port: int) -> str | None:
    """Return why nothing can be served at this address, or None when it can."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} is in use; choose another with --port"
        return f"cannot listen at --host {host}, --port {port}: {error.strerror}"
    return None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, a number from 1 to 65535")
    return int(text)


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("must be a name and a password with a colon between")
    return user, password


def _say(line: str, code: int) -> int:
    return complain("app.py", line, code)


if __name__ == "__main__":
    sys.exit(exit_code("app.py", main))
