"""A file that takes too long is refused by name, and the others go on."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from train.prepare import parts
from train.prepare.clean import NoCover
from train.prepare.items import Item
from train.prepare.settings import Settings


SETTINGS = Settings(32, 16, 2.0)
PROGRAM = """
import sys
from pathlib import Path

from tests.prepare.test_time_limit import SETTINGS, slow_picture
from tests.helpers.drawn import draw_cover, encode
from train.prepare import parts
from train.prepare.items import Item

parts.TIME_LIMIT = 0.2  # here, as each worker runs this file, too

if __name__ == "__main__":
    files = {f"{n}.png": encode(draw_cover(n, 64), "PNG") for n in (1, 2, 3)} | {"slow.jpg": slow_picture()}
    items = iter([Item(name, content) for name, content in sorted(files.items())])
    folder = Path(sys.argv[1])
    for part in parts.make_parts(items, SETTINGS, folder, int(sys.argv[2]), lambda chunk: None):
        for row in parts.read_part(part, ["name", "reason"]).to_pylist():
            print(row["name"], row["reason"])
"""


def slow_picture() -> bytes:
    """A JPEG of few bytes, as many scans as are let in, and 16 megapixels: seconds of work."""
    file = io.BytesIO()
    Image.new("L", (4000, 4000)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 80 + content[-2:]


def test_in_the_first_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parts, "TIME_LIMIT", 0.05)
    outcome = parts.judge(Item("slow.jpg", slow_picture()), SETTINGS)
    assert isinstance(outcome, NoCover) and outcome.reason == "too-slow"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_is_replaced_and_the_file_named(workers: int, tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = str(Path(__file__).parents[2])
    command = [sys.executable, program, tmp_path, str(workers)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == ["1.png None", "2.png None", "3.png None", "slow.jpg too-slow"]
