"""Small models for the tests of torch."""

from __future__ import annotations

from lcageo.config import Backend, DetectConfig
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import load_predictor
from lcageo.runtime.torch_backend import TorchPredictor


def predictor(card: ModelCard, device: str = "cpu", **settings: object) -> TorchPredictor:
    loaded = load_predictor(card, DetectConfig(**settings), device, Backend.TORCH)  # type: ignore[arg-type]
    assert isinstance(loaded, TorchPredictor)
    return loaded
