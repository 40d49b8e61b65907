"""The pictures of the guide can be made again."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest
from conftest import REPOSITORY
from support.qgis_pictures import PICTURES, make_pictures
from support.qgis_runs import Qgis


def test_the_guide_shows_the_pictures_that_the_script_makes() -> None:
    page = (REPOSITORY / "examples" / "qgis.md").read_text()
    assert [name for name in PICTURES if f"({name})" in page] == list(PICTURES)
    assert all((REPOSITORY / "examples" / name).is_file() for name in PICTURES)


@pytest.mark.slow
def test_pictures_are_of_the_size_of_those_in_the_guide_and_not_empty(qgis: Qgis, tmp_path: Path) -> None:
    make_pictures(tmp_path, "--size", "1000", "--gsd", "0.3")
    for name in PICTURES:
        with PIL.Image.open(tmp_path / name) as made, PIL.Image.open(REPOSITORY / "examples" / name) as shown:
            assert made.size == shown.size
            assert len(made.convert("RGB").getcolors(made.width * made.height) or []) > 50, name
