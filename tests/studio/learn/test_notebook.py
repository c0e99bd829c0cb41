"""The notebook of lesson 9, from top to bottom on a tiny set: its own cells, the real programs."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from gan import load_pipeline
from gan.studio.tabs.learn.learn import HERE
from tests.helpers.drawn import draw_dataset


ROOT = Path(__file__).parents[3]


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path):
    notebook = json.loads((HERE / "lessons/train_your_own.ipynb").read_text())
    program = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    draw_dataset(tmp_path / "pile", 60, 32)
    settings = {
        'COVERS = "my-covers"': f"COVERS = {str(tmp_path / 'pile')!r}",
        'RECIPE = "r3gan-64" if torch.cuda.is_available() else "r3dcgan-64-cpu"': 'RECIPE = "tiny"',
        'RESOLUTION = "64"': 'RESOLUTION = "16"',
        'TOTAL_IMAGES = ""': 'TOTAL_IMAGES = "16"',
        'WORK = Path("work")': f"WORK = Path({str(tmp_path / 'work')!r})",
        'run("pip", "install", "--quiet", "-r", "requirements.txt")': "",  # the tests have them
    }
    for line, instead in settings.items():
        assert program.count(line) == 1, line
        program = program.replace(line, instead)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "tests", capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done after 16 covers" in done.stdout
    with Image.open(tmp_path / "work/sheet.png") as sheet:
        assert sheet.size == (64, 64)
    assert load_pipeline(tmp_path / "work/run/pipeline").synthesis.config.resolution == 16


def test_nothing_is_run_where_the_project_is_not(tmp_path: Path):
    notebook = json.loads((HERE / "lessons/train_your_own.ipynb").read_text())
    first = "".join(next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["source"])
    done = subprocess.run([sys.executable, "-c", first], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "clone it from" in done.stderr
