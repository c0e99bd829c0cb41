"""Where a running page keeps the files that it makes and is sent: a folder that no other page uses."""

import os
import re
import secrets
import tempfile
from pathlib import Path


NAME = re.compile("album-covers-[0-9a-f]{16}")


def name_own_folder() -> Path:
    """Name a new folder, in the one that GRADIO_TEMP_DIR names or else among the system's temporary files.

    What Gradio takes without it, /tmp/gradio, is everybody's: a page that ends would clear away what another one on
    this machine is about to send. Nothing is made here.
    """
    place = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    if NAME.fullmatch(place.name):  # of the program that started this one
        place = place.parent
    return place / f"album-covers-{secrets.token_hex(8)}"


def own_folders_beside(folder: Path) -> list[Path]:
    """Return the folders of other pages in the same place; [] where `folder` was not named here."""
    if not NAME.fullmatch(folder.name):
        return []
    return [other for other in folder.parent.iterdir() if NAME.fullmatch(other.name) and other != folder]
