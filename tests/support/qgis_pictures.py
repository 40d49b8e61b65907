"""Makes the pictures of the guide to QGIS again, in its window: python tests/support/qgis_pictures.py examples

Needs Debian's packages qgis and xvfb.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from support.qgis_runs import installed  # noqa: E402  # once it can be found

PICTURES = ("qgis_dialog.png", "qgis_objects.jpg", "qgis_review.jpg")


def make_pictures(folder: Path, *scene_options: str) -> None:
    """Renders a scene, and takes the pictures of what is found in it.

    Args:
        folder: where to write `PICTURES`.
        scene_options: of examples/make_scene.py.
    """
    # Not in /tmp, where QGIS marks layers as temporary.
    with tempfile.TemporaryDirectory(prefix=".qgis-", dir=folder.resolve()) as work:
        scene = Path(work) / "scene.tif"
        render = [sys.executable, str(REPOSITORY / "examples" / "make_scene.py"), str(scene), *scene_options]
        subprocess.run(render, check=True, stdout=subprocess.DEVNULL)
        (Path(work) / "home").mkdir()
        qgis = installed(Path(work) / "home")
        qgis.window("qgis_window_pictures.py", Path(work), scene, folder.resolve(), work)


if __name__ == "__main__":
    make_pictures(Path(sys.argv[1]))
