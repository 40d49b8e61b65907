"""Detectors of other programs on a scene with objects: our network in their layouts, and GeoDeep on the same file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import geopandas
import make_scene
import numpy as np
import onnx
import pytest
from conftest import REPOSITORY
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.commands import Run

import lcageo
from lcageo.config import MergeMetric
from lcageo.nms import overlap
from lcageo.runtime.catalog import find_card
from lcageo.runtime.layouts import Layout
from lcageo.runtime.onnx_export import export_yolo

SIDE, OVERLAP, GSD_M = 1088, 128, 0.5  # two tiles of 608 pixels across, which overlap by 128
SCORE = 0.5
LAYOUTS = [layout for layout in Layout if layout not in (Layout.END_TO_END, Layout.RETINANET)]
"""The layouts of whole networks; in the others, an operator of the graph has already removed duplicates."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the demo scene, uncompressed."""
    path = tmp_path_factory.mktemp("demo") / "scene.tif"
    pixels, _ = make_scene.render_scene(SIDE, GSD_M, 0)
    make_scene.write_scene(path, pixels, GSD_M)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model as Deepness and GeoDeep take it."""
    path = tmp_path_factory.mktemp("exported") / "lca.onnx"
    path.write_bytes(export_yolo(find_card("lca-s"), OVERLAP))
    return path


def laid_out(path: Path, layout: Layout, to: Path) -> Path:
    """The same network with its outputs in another layout, written by hand: (1, 4 + K, N) is what it has."""
    model = onnx.load(path)
    graph = model.graph
    boxes = graph.output[0].type.tensor_type.shape.dim[2].dim_value

    def constant(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def add(operator: str, *inputs: str, **about: object) -> str:
        graph.node.append(helper.make_node(operator, inputs, [f"laid{len(graph.node)}"], **about))
        return str(graph.node[-1].output[0])

    def part(start: int, end: int) -> str:
        cut = [constant(f"cut{start}{one}", np.array([value])) for one, value in (("a", start), ("b", end), ("c", 1))]
        return add("Slice", "output", *cut)

    place, scores = part(0, 4), part(4, 14)
    best = add("ReduceMax", scores, constant("axis", np.array([1])), keepdims=1)
    extra = constant("extra", np.ones((1, 1, boxes), np.float32))
    shapes: list[tuple[int, ...]] = [(1, boxes, 15)]
    if layout is Layout.YOLO_V5:
        outputs = [add("Transpose", add("Concat", place, best, scores, axis=1), perm=[0, 2, 1])]
    elif layout is Layout.YOLO_V6:
        outputs = [add("Transpose", add("Concat", place, extra, scores, axis=1), perm=[0, 2, 1])]
    elif layout is Layout.OBB:
        zero = constant("angle", np.zeros((1, 1, boxes), np.float32))
        outputs, shapes = [add("Concat", place, scores, zero, axis=1)], [(1, 15, boxes)]
    elif layout is Layout.SEGMENTATION:
        masks = constant("masks", np.zeros((1, 1, 8, 8), np.float32))
        outputs, shapes = (
            [add("Concat", place, scores, extra, axis=1), add("Identity", masks)],
            [(1, 15, boxes), (1, 1, 8, 8)],
        )
    else:
        outputs, shapes = ["output"], [(1, 14, boxes)]
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(outputs, shapes, strict=True)
    )
    props = {one.key: one.value for one in model.metadata_props}
    helper.set_model_props(model, props | {"det_type": json.dumps(layout)})
    onnx.save(model, to)
    return to


def pixel_boxes(found: geopandas.GeoDataFrame) -> NDArray[np.float64]:
    """(N, 4) boxes of a layer in the scene's pixels."""
    west, north = make_scene.UPPER_LEFT_M
    bounds = found.bounds.to_numpy()
    left, bottom, right, top = bounds.T
    return np.stack([left - west, north - top, right - west, north - bottom], axis=1) / GSD_M


def twins(
    boxes: NDArray[np.float64], others: NDArray[np.float64], least: float, metric: MergeMetric = MergeMetric.IOU
) -> NDArray[np.bool_]:
    """(N, M) whether two boxes are the same, or by another metric overlap by at least so much."""
    one, two = (at.ravel() for at in np.indices((len(boxes), len(others))))
    return overlap(boxes[one], others[two], metric).reshape(len(boxes), len(others)) >= least


@pytest.fixture(scope="module")
def own(scene: Path) -> geopandas.GeoDataFrame:
    """What the network finds as one of our own."""
    return lcageo.detect(
        scene, model="lca-s", backend="onnx", passes="1", gsd="native", overlap=str(OVERLAP), score=SCORE, iou=0.6
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_network_finds_the_same_objects_in_every_layout(
    layout: Layout, scene: Path, exported: Path, own: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    path = laid_out(exported, layout, tmp_path / "a.onnx")
    assert find_card(str(path)).layout is layout
    found = lcageo.detect(scene, model=path, backend="onnx", gsd="native", score=SCORE)
    same = twins(pixel_boxes(found), pixel_boxes(own), 0.97)
    same &= found["class"].to_numpy()[:, None] == own["class"].to_numpy()
    same &= np.abs(found["score"].to_numpy()[:, None] - own["score"].to_numpy()) < 1e-3
    assert len(found) == len(own) > 20
    assert same.any(axis=0).all() and same.any(axis=1).all()


@pytest.mark.filterwarnings("ignore")  # GeoDeep's own: it asks for CUDA in any case, and for what rasterio will drop
def test_geodeep_finds_the_same_boxes_away_from_seams(scene: Path, exported: Path) -> None:
    geodeep = pytest.importorskip("geodeep", reason="SKIPPED FOR LACK OF A PEER: pip install geodeep")
    # A resolution, in cm, finer than the scene's: GeoDeep then does not resample the scene.
    theirs = geodeep.run(str(scene), str(exported), output_type="raw", conf_threshold=SCORE, resolution=1)
    found = lcageo.detect(scene, model=exported, gsd="native", score=SCORE, agnostic=True)
    boxes, labels = pixel_boxes(found), found["class_id"].to_numpy()
    same = twins(boxes, theirs[:, :4].astype(np.float64), 0.97)
    same &= labels[:, None] == theirs[:, 4:].argmax(axis=1)
    same &= np.abs(found["score"].to_numpy()[:, None] - theirs[:, 4:].max(axis=1)) < 2e-3

    def away(some: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Not in the strips that two tiles see, which both tools treat in their own way."""
        return ((some[:, 2:] < SIDE - 608) | (some[:, :2] > 608)).all(axis=1)

    # GeoDeep merges by the share of the smaller box: a car inside a court's box is then left out.
    alone = twins(boxes, boxes, 0.5, MergeMetric.IOS).sum(axis=1) == 1
    mine, others = away(boxes) & alone, away(theirs[:, :4])
    assert mine.sum() > 10
    assert same.any(axis=1)[mine].all() and same.any(axis=0)[others].all()


GUIDE = REPOSITORY / "examples" / "other_detectors.md"


def test_the_guide_s_commands_run(run: Run, scene: Path, exported: Path, tmp_path: Path) -> None:
    bare = onnx.load(exported)  # as other exporters write it: without metadata, in whole files
    del bare.metadata_props[:]
    for name, model in (("cars.onnx", onnx.load(exported)), ("bare.onnx", bare)):
        onnx.save(model, tmp_path / name)
    for name in ("scene.tif", "survey/1.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(scene.read_bytes())
    text = GUIDE.read_text()
    (card,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    commands = [
        line[2:] for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    assert len(commands) >= 6 and all(command.startswith("lcageo ") for command in commands)
    for command in commands:
        if "bare.onnx" in command and "--model-classes" not in command:
            (tmp_path / "bare.toml").write_text(card)
        outcome = run(*shlex.split(command)[1:])
        assert outcome.code == 0, f"{command}: {outcome.err}"
    layers = [geopandas.read_file(tmp_path / name) for name in ("found.gpkg", "named.gpkg", "carded.gpkg")]
    assert all(len(layer) > 20 for layer in layers)
    assert {len(layer) for layer in layers[1:]} == {len(layers[1])}


def test_the_guide_names_every_layout_and_metadata_entry_that_is_read() -> None:
    text = GUIDE.read_text()
    for name in (*Layout, "class_names", "resolution", "det_type", "det_conf", "det_iou_thresh", "tiles_overlap",
                 "tile_size", "model_type", "standardization_mean", "standardization_std"):  # fmt: skip
        assert f"`{name}`" in text, name


CALLS: list[tuple[Callable[[Path], list[object]], int, str]] = [
    (lambda folder: ["--model", folder / "best.pt"], 1, "yolo export model=best.pt format=onnx"),
    (lambda folder: ["--model", "lca-s", "--model-gsd", "0.3"], 2, "are for ONNX detectors of other programs"),
    (lambda folder: ["--model", folder / "no.onnx"], 1, "cannot be read: No such file"),
    (lambda folder: ["--model", folder / "a.onnx", "--model-layout", "DETR"], 1, "'DETR' is not known"),
    (lambda folder: ["--model", folder / "a.onnx", "--model-gsd", "fine"], 2, "--model-gsd 'fine' is not a number"),
    (lambda folder: ["--model", folder / "a.onnx", "--model-classes", "a,b"], 1, "with 2 classes"),
    (lambda folder: ["--model", folder / "a.onnx", "--backend", "torch"], 1, "ONNX graph, which torch cannot run"),
    (lambda folder: ["--model", folder / "a.onnx", "--precision", "int8"], 2, "is not quantised"),
    (lambda folder: ["--model", folder / "a.onnx", "--classes", "tree"], 2, "has no class 'tree'"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), CALLS)
def test_what_cannot_be_run_is_refused_in_one_line(
    arguments: Callable[[Path], list[object]],
    code: int,
    words: str,
    run: Run,
    exported: Path,
    scene: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "best.pt").write_bytes(b"PK")
    (tmp_path / "a.onnx").write_bytes(exported.read_bytes())
    outcome = run("detect", scene, "-o", "found.gpkg", *arguments(tmp_path))
    assert outcome.code == code and words in outcome.err, outcome.err
    assert sum(line.startswith("error: ") for line in outcome.err.splitlines()) == 1
    assert not (tmp_path / "found.gpkg").exists()


def test_training_and_export_of_another_program_s_model_are_refused(run: Run, exported: Path, tmp_path: Path) -> None:
    trained = run("train", "--data", tmp_path, "--from", exported, "--minutes", 1, "--out", "runs")
    assert trained.code == 1 and "is a detector of another program" in trained.err
    again = run("export", exported, "-o", "again.onnx")
    assert again.code == 1 and "is an ONNX graph already" in again.err


def test_the_record_names_the_file_by_its_content(run: Run, scene: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(exported.read_bytes())
    outcome = run("detect", scene, "--model", "a.onnx", "-o", "b.gpkg", "--gsd", "native", "--json")
    record = json.loads(outcome.out)[0]["provenance"]
    assert record["model"] == "a" and record["model_sha256"] == find_card(str(exported)).sha256
    assert record["parameters"]["iou"] == 0.6 and record["trained_on"] == find_card("lca-s").trained_on


def test_an_unknown_resolution_is_said_and_a_known_one_is_resampled_to(
    run: Run, scene: Path, exported: Path, tmp_path: Path
) -> None:
    model = onnx.load(exported)
    kept = {one.key: one.value for one in model.metadata_props if one.key != "resolution"}
    helper.set_model_props(model, kept)
    onnx.save(model, tmp_path / "a.onnx")
    command = ["info", scene, "--model", "a.onnx", "--json"]
    assert json.loads(run(*command).out)["tiling"]["scene_pixels_per_tile_pixel"] == [1.0, 1.0]
    tiling = json.loads(run(*command, "--model-gsd", 1).out)["tiling"]
    assert tiling["scene_pixels_per_tile_pixel"] == pytest.approx([2.0, 2.0], rel=2e-3)  # UTM's scale
    said = run("detect", scene, "--model", "a.onnx", "--dry-run")
    assert "model 'a' does not say for which resolution it was trained" in said.err and "--model-gsd" in said.err
    assert "not known (--model-gsd)" in run("models", "info", "a.onnx").out
    assert "does not say" not in run("detect", scene, "--model", exported, "--gsd", "native", "--dry-run").err
