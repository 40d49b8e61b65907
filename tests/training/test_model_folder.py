"""The model folder of a run: card and weights always match, and no other files are touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.shapes import write_shapes

from lcageo.config import DetectConfig
from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.errors import OutputError
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.training.config import TrainConfig
from lcageo.training.data import TrainingData, load_training_data
from lcageo.training.model_folder import holds_run, network_config, new_card, prepare_folder, publish


@pytest.fixture
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


@pytest.fixture
def weights(card: ModelCard) -> dict[str, torch.Tensor]:
    return load_file(card.weights)


def test_what_is_published_can_be_run(card: ModelCard, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    publish(card, weights, tmp_path)
    found = find_card(str(tmp_path))
    assert found.classes == card.classes and found.sha256 != "0" * 64
    load_predictor(found, DetectConfig(), "cpu")


def test_one_pair_is_kept(card: ModelCard, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    first = publish(card, weights, tmp_path)
    changed = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    (tmp_path / "model-123456789abc.part").touch()  # of a killed run
    second = publish(card, changed, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.toml", second.weights.name}
    assert first.sha256 != second.sha256 == find_card(str(tmp_path)).sha256
    assert publish(card, changed, tmp_path).sha256 == second.sha256, "the same again changes nothing"
    assert second.weights.exists()


def test_weights_may_have_any_memory_format(card: ModelCard, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    turned = {
        name: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in weights.items()
    }
    assert publish(card, turned, tmp_path / "b").sha256 == publish(card, weights, tmp_path / "a").sha256


def test_a_folder_that_cannot_be_written_is_named(
    card: ModelCard, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written to .*file"):
        publish(card, weights, tmp_path / "file")


def test_clearing_removes_a_runs_files_and_no_others(
    card: ModelCard, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    publish(replace(card, name="a"), weights, tmp_path)
    publish(card, weights, tmp_path / "last")
    for name in ("checkpoint.pt", "metrics.csv", "notes.txt", "last/mine.safetensors"):
        (tmp_path / name).write_text("")
    assert holds_run(tmp_path) and holds_run(tmp_path / "last")
    prepare_folder(tmp_path, fresh=False)
    assert holds_run(tmp_path)
    prepare_folder(tmp_path, fresh=True)
    assert not holds_run(tmp_path) and not holds_run(tmp_path / "last")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"notes.txt", "last/mine.safetensors"}


@pytest.mark.parametrize("native", [False, True])
def test_a_fine_tuned_model_is_for_the_lengths_and_passes_of_its_start(tmp_path: Path, native: bool) -> None:
    start = find_card("lca-s")
    config = TrainConfig(
        data=(str(write_shapes(tmp_path / "train.json")),), imgsz=128, start_from="lca-s", native=native
    )
    data = load_training_data(config, strict=True, warn=lambda line: None)
    card = new_card(config, network_config(config, len(data.classes)), data, "own")
    assert start.lengths_px is not None and card.lengths_px == start.lengths_px
    assert card.classes == ("ship", "car") and card.tile_size == 128


def _labelled(tmp_path: Path, lengths_m: dict[str, list[float]], gsd_m: float | None) -> LabelledSet:
    """An image for each length, with one object of it in its middle."""
    classes = tuple(lengths_m)
    annotations = []
    for label, name in enumerate(classes):
        for length in lengths_m[name]:
            sides = np.array([length, length / 2], np.float32) / (gsd_m or 0.5)
            box = np.concatenate([128 - sides / 2, 128 + sides / 2])[None].astype(np.float32)
            labels, all_of_them = np.array([label]), tuple(range(len(classes)))
            annotations.append(
                Annotation(tmp_path / "no.png", 256, 256, box, labels, all_of_them, np.array([False]), gsd_m)
            )
    return LabelledSet("own", classes, tuple(annotations))


@pytest.mark.parametrize(
    ("lengths_m", "gsd_m", "kept"),
    [
        ({"vehicle": [4.0, 12.0], "airplane": [30.0]}, 0.5, {"vehicle", "airplane"}),
        ({"vehicle": [4.0, 60.0], "airplane": [30.0]}, 0.5, {"airplane"}),  # trains, perhaps
        ({"vehicle": [4.0, 1.0], "airplane": [30.0]}, 0.5, {"airplane"}),  # and motorcycles
        ({"vehicle": [4.0], "airplane": [], "crane": [40.0]}, 0.5, {"vehicle"}),
        ({"vehicle": [4.0]}, None, set()),
    ],
)
def test_a_fine_tuned_model_keeps_the_possible_sizes_that_its_labels_agree_with(
    lengths_m: dict[str, list[float]], gsd_m: float | None, kept: set[str], tmp_path: Path
) -> None:
    labelled = _labelled(tmp_path, lengths_m, gsd_m)
    config = TrainConfig(data=("no.json",), start_from="lca-s")
    card = new_card(config, network_config(config, len(labelled.classes)), TrainingData(labelled, labelled), "own")
    assert card.size_m == {name: find_card("lca-s").size_m[name] for name in kept}


def test_an_object_that_its_image_cuts_refutes_no_size(tmp_path: Path) -> None:
    (one,) = _labelled(tmp_path, {"vehicle": [1.0]}, 0.5).annotations
    at_the_edge = replace(one, boxes_xyxy=one.boxes_xyxy - one.boxes_xyxy[:, [0, 1, 0, 1]])
    labelled = LabelledSet("own", ("vehicle",), (at_the_edge,))
    config = TrainConfig(data=("no.json",), start_from="lca-s")
    assert new_card(config, network_config(config, 1), TrainingData(labelled, labelled), "own").size_m


def test_what_has_the_names_of_pictures_is_left_where_there_was_no_run(tmp_path: Path) -> None:
    for name in ("curves.png", "film.part"):
        (tmp_path / name).touch()
    assert not holds_run(tmp_path)
    prepare_folder(tmp_path, fresh=True)
    assert (tmp_path / "curves.png").exists()
    (tmp_path / "last").mkdir()
    for name in ("model.toml", "model.toml.part"):
        (tmp_path / "last" / name).touch()
    assert holds_run(tmp_path)
    prepare_folder(tmp_path, fresh=True)
    assert not holds_run(tmp_path) and not (tmp_path / "curves.png").exists() and (tmp_path / "film.part").exists()
    assert list((tmp_path / "last").iterdir()) == []
