"""STAC items of given assets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def write_item(path: Path, assets: dict[str, dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"type": "Feature", "stac_version": "1.0.0", "id": "S2A_1", "assets": assets}))
    return path
