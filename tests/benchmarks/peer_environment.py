"""A separate environment for the peers, made once, so that their pinned packages do not affect the tests'."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "peers"
PACKAGES = ("geodeep==0.9.*", "sahi==0.12.*", "lsnms==0.5.*", "powerboxes==0.3.*")


def peer_python() -> Path:
    """The environment's interpreter; the first call installs the peers."""
    python = FOLDER / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python
