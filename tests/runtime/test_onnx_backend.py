"""ONNX Runtime as a backend."""

from __future__ import annotations

import pytest
from support.backends import IMAGES, LOOSE, OTHERS, same

from lcageo.config import Backend
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import load_predictor


@pytest.mark.parametrize("backend", OTHERS)
def test_smaller_tiles_than_the_card_says_are_run_too(card: ModelCard, backend: Backend) -> None:
    part = IMAGES[:1, :, :128, :128]
    expected = load_predictor(card, LOOSE, "cpu", Backend.TORCH).predict(part)
    assert same(expected, load_predictor(card, LOOSE, "cpu", backend).predict(part))
