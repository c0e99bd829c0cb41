"""What is installed, and whom the programs ask: no file without its hash, no host but the Hub."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import app


ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([\w-]+)==([\w.]+)", re.MULTILINE)


def test_the_lock_file_has_every_package_and_its_hashes():
    wanted = dict(PIN.findall((ROOT / "requirements.txt").read_text() + (ROOT / "tests/requirements.txt").read_text()))
    lock = (ROOT / "tests/requirements.lock").read_text()
    locked = {name.lower(): version for name, version in PIN.findall(lock)}
    assert wanted.pop("torch")  # whose build depends on the machine
    assert {name: locked.get(name.lower()) for name in wanted} == wanted
    packages = re.split(r"^(?=[\w-]+==)", lock, flags=re.MULTILINE)[1:]
    assert [package for package in packages if "--hash=sha256:" not in package] == []
    # and nothing else: no address, no other index, no option
    lines = {line.strip(" \\").partition(" ;")[0] for line in lock.splitlines() if line and line[0] != "#"}
    line = re.compile(r"[\w-]+(\[[\w,-]+\])?==[\w.+]+|--hash=sha256:[0-9a-f]{64}")
    assert [other for other in lines if not line.fullmatch(other)] == []


def test_no_statistics_are_sent_of_datasets_that_are_opened():
    code = "import train, datasets; print(datasets.config.HF_UPDATE_DOWNLOAD_COUNTS)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_login_comes_from_a_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("PAGE_AUTH", "me:a:b")
    assert app.parse([]).auth == ("me", "a:b")
    assert app.parse(["--auth", "you:c"]).auth == ("you", "c")
    for wrong in ("secret", "", ":", "secret:", ":secret", " "):  # an empty one leaves no page open
        monkeypatch.setenv("PAGE_AUTH", wrong)
        with pytest.raises(SystemExit):
            app.parse([])
        assert "PAGE_AUTH must be" in (said := capsys.readouterr().err) and "secret" not in said
    monkeypatch.delenv("PAGE_AUTH")
    assert app.parse([]).auth is None
    monkeypatch.setenv("PAGE_AUTH", "me:hidden")
    with pytest.raises(SystemExit):
        app.parse(["--help"])
    assert "hidden" not in capsys.readouterr().out
