"""The pictures of an evaluation: both or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.reference import random_case
from support.summaries import evaluate

from lcageo.errors import LcageoError
from lcageo.evaluation.plots import PICTURES, draw_plots, prepare_plots


def test_both_pictures_are_drawn_and_not_replaced_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "plots"
    prepare_plots(folder, overwrite=False)
    draw_plots(evaluate(random_case(0)), folder)
    assert {path.name for path in folder.iterdir()} == set(PICTURES)
    for name in PICTURES:
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 100
    with pytest.raises(LcageoError, match="exists"):
        prepare_plots(folder, overwrite=False)
    prepare_plots(folder, overwrite=True)
