from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import quantise_model
import render_chips

from lcageo.config import Backend, DetectConfig, Precision
from lcageo.data.dataset import EvalDataset
from lcageo.data.formats.coco import read_coco
from lcageo.errors import ModelError, UsageError
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of six rendered chips."""
    folder = tmp_path_factory.mktemp("chips")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render_chips, "SCENES", ((0.4, 1200),))
        render_chips.main([str(folder), "--chips", "6", "--scenes", "1"])
    return folder / "train.json"


def test_a_quantised_model_runs_on_its_backends_and_finds_nearly_the_same(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise_model, "MOST_LOST", 1.0)  # six images cannot show accuracy; the check has its own test
    target = tmp_path / "small.toml"
    quantise_model.main(["lca-s", str(target), "--val", f"chips={chips}"])
    small, card = find_card(str(target)), find_card("lca-s")
    assert small.is_quantised and small.metrics["chips"]["images"] == 6
    assert small.weights.stat().st_size < 0.75 * card.weights.stat().st_size
    images = np.stack([item.image.numpy() for item in EvalDataset(read_coco(chips), card.tile_size)])
    loose = DetectConfig(score=0.3)  # an object above its class's threshold in one model may just miss it in the other
    exact = load_predictor(card, loose, "cpu", Backend.TORCH, Precision.FP32).predict(images)
    for backend in (Backend.AUTO, Backend.OPENVINO, Backend.ONNX):
        predictor = load_predictor(small, loose, "auto", backend)
        assert predictor.engine.precision is Precision.INT8
        found = predictor.predict(images)
        for one, other in zip(exact, found, strict=True):
            sure = one.boxes_xyxy[one.scores > 0.7]
            apart = np.abs(sure[:, None] - other.boxes_xyxy[None]).max(axis=-1)
            assert (apart.min(axis=1) < 6).mean() > 0.8 if len(sure) > 4 else True
    assert sum((one.scores > 0.7).sum() for one in exact) > 20
    for asked in (Precision.FP32, Precision.BF16):
        with pytest.raises(UsageError, match=f"is int8; leave out --precision {asked}"):
            load_predictor(small, DetectConfig(), "cpu", precision=asked)
    with pytest.raises(ModelError, match="an ONNX graph, which torch cannot run"):
        load_predictor(small, DetectConfig(), "cpu", Backend.TORCH)


def test_a_model_that_loses_too_much_is_not_written(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise_model, "MOST_LOST", -1.0)
    target = tmp_path / "small.toml"
    with pytest.raises(SystemExit, match="no card is written"):
        quantise_model.main(["lca-s", str(target), "--val", f"chips={chips}"])
    assert not list(tmp_path.iterdir())


def test_other_models_have_no_int8() -> None:
    with pytest.raises(UsageError, match="'lca-s' is not quantised; leave out --precision int8"):
        load_predictor(find_card("lca-s"), DetectConfig(), "cpu", precision=Precision.INT8)
