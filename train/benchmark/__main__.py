"""Measure how fast this project is on this machine, and what its own measures are worth.

    python -m train.benchmark speed --config dcgan-64

Every file of this folder that has a function `main` is a program, called by the file's name; `--help` lists them.
"""

import ast
import signal
import sys
from importlib import import_module
from pathlib import Path

from gan.errors import Parser
from train.cli import run


OLD_NAMES = {"train": "speed"}


def programs() -> dict[str, str]:
    """Return the first line of each program's docstring by its name, without importing any: torch takes seconds."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        tree = ast.parse(file.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[file.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


def main() -> str:
    """Run one of the programs; return its last line."""
    arguments = [OLD_NAMES.get(sys.argv[1], sys.argv[1]), *sys.argv[2:]] if sys.argv[1:] else []
    parser = Parser(prog="train.benchmark", description=__doc__.strip().splitlines()[0])
    choices = parser.add_subparsers(dest="program", required=True, parser_class=Parser)
    for name, line in programs().items():
        program = choices.add_parser(name, help=line, description=line)
        if arguments[:1] == [name]:
            module = import_module(f"train.benchmark.{name}")
            module.add_arguments(program)
    args = parser.parse_args(arguments)  # which ends the program, unless one was chosen
    return module.main(args)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as on Ctrl+C, so that what it started ends with it
    run(main, "train.benchmark")
