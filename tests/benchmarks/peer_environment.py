"""A separate environment for the peers, so that their pinned packages do not affect the tests'."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "peers"
PACKAGES = ("geodeep==0.9.*", "sahi==0.12.*", "lsnms==0.5.*", "powerboxes==0.3.*")
ALONE = (
    "deepforest==2.1.*", "kornia==0.9.*", "kornia-rs==0.2.*", "lightning-utilities==0.15.*", "omegaconf==2.4.*",
    "pytorch-lightning==2.6.*", "scipy==1.17.*", "slidingwindow==0.0.14", "torchmetrics==1.9.*", "xmltodict==1.0.*",
    "geoai-py==0.40.*", "joblib==1.6.*", "lazy-loader==0.6", "narwhals==2.29.*", "rioxarray==0.19.*",
    "scikit-image==0.26.*", "scikit-learn==1.9.*", "threadpoolctl==3.8.*", "xarray==2026.9.*",
    "torchvision==0.28.*",  # made for the torch that constraints.txt pins
)  # fmt: skip
"""DeepForest, geoai and what their tiled detection imports beyond ours; the rest of what they require is not needed,
and pip would bring another torch with it."""


def peer_python() -> Path:
    """The environment's interpreter; the peers are installed at first, and when the lists have changed."""
    python = FOLDER / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    listed, installed = "\n".join(PACKAGES + ALONE), FOLDER / "installed.txt"
    if not installed.exists() or installed.read_text() != listed:
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *PACKAGES], check=True)
        subprocess.run([*install, "--no-deps", *ALONE], check=True)
        installed.write_text(listed)
    return python
