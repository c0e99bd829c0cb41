"""What tests of trainings share."""

from pathlib import Path

import pytest

from tests.helpers.drawn import draw_cover


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(12):
        draw_cover(number, 128).save(folder / f"{number}.png")
    return folder
