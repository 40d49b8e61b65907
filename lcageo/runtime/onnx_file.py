"""Reads an ONNX detector of another program: what the file says of itself, as entries of a model card."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcageo.errors import DeviceError, ModelError
from lcageo.extras import require
from lcageo.runtime.layouts import Layout, Shape, class_count, layout_of

ANY_GSD_M = (1e-3, 1e3)
"""Resolutions of a model that does not state any: all that imagery has, metres per pixel."""
NOT_STATED = "not stated in the file"
_TASKS = {"detect": Layout.ULTRALYTICS, "segment": Layout.SEGMENTATION, "obb": Layout.OBB}
"""Tasks of Ultralytics' models that are detectors, with their layout unless duplicates are removed in the graph."""
MAX_CLASSES = 10_000


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What a file says of itself."""

    content: bytes
    image: Shape
    """Shape of the input."""
    outputs: tuple[Shape, ...]
    metadata: Mapping[str, Any]
    """Values as Deepness (JSON) and Ultralytics (Python) write them; others as text."""

    @classmethod
    def read(cls, path: Path) -> OnnxFile:
        """Reads a file.

        Raises:
            ModelError: if it cannot be read, is no ONNX graph, is not complete, or has several inputs.
            DeviceError: if the package for that is not installed.
        """
        require(f"reading '{path}'", None, "onnx", error=DeviceError)
        import onnx
        from google.protobuf.message import DecodeError

        try:
            content = path.read_bytes()
            model = onnx.load_from_string(content)
        except OSError as error:
            raise ModelError(f"model '{path}' cannot be read: {error.strerror}") from error
        except DecodeError as error:
            raise ModelError(f"'{path}' is not an ONNX file, or is damaged; export or download it again") from error
        stored = {one.name for one in model.graph.initializer}
        images = [one for one in model.graph.input if one.name not in stored]
        if any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer):
            raise ModelError(
                f"'{path}' keeps its weights in another file; make one file of both with Python: "
                f"import onnx; onnx.save(onnx.load('{path.name}'), 'complete.onnx')"
            )
        if len(images) != 1:
            raise ModelError(f"'{path}' has {len(images)} inputs; lcageo runs detectors with one, the image")
        metadata = {entry.key: _value(entry.value) for entry in model.metadata_props}
        return cls(content, _shape(images[0]), tuple(_shape(one) for one in model.graph.output), metadata)


def onnx_entries(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a model card for an ONNX file.

    Args:
        path: the file.
        given: entries that replace what the file says: from a card beside it, and from the user.

    Raises:
        ModelError: if it cannot be read, is no detector, or does not say enough; it names the option that does.
        DeviceError: if the package that reads it is not installed.

    Source:
        Deepness's documentation, "Add metadata to model", GeoDeep's `inference.py`, and the metadata that the exporter
        of Ultralytics writes: names and units.
    """
    file = OnnxFile.read(path)
    try:
        return _entries(file, path, given)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the metadata of '{path}' cannot be used: {error}; give it in a card '{path.stem}.toml'"
        ) from (error)
    except ModelError as error:
        raise ModelError(f"'{path}' cannot be run: {error}") from error


def _entries(file: OnnxFile, path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    says = file.metadata
    named = _kind(says)
    side = _side(file, given)
    classes = tuple(given["classes"]) if "classes" in given else _classes(says)
    layout = layout_of(file.outputs, len(classes) or None, side, str(given["layout"]) if "layout" in given else named)
    if not classes:
        count = class_count(layout, file.outputs)
        raise ModelError(
            f"it does not name its {count or ''} classes; name them with --model-classes".replace("  ", " ")
        )
    entries: dict[str, Any] = {
        "name": path.stem,
        "network": None,
        "classes": classes,
        "tile_size": side,
        "gsd_m": ANY_GSD_M,
        # GeoDeep and Deepness feed YOLO red, green and blue from 0 to 1; Deepness can standardise them after that.
        "mean": [255 * value for value in _three(says.get("standardization_mean", 0.0))],
        "std": [255 * value for value in _three(says.get("standardization_std", 1.0))],
        "weights": path.name,
        "sha256": hashlib.sha256(file.content).hexdigest(),
        "licence": str(says.get("license") or says.get("licence") or NOT_STATED),
        "restriction": str(says.get("restriction", "")),
        "trained_on": str(says.get("trained_on") or says.get("description") or NOT_STATED),
    }
    if "resolution" in says:
        entries["gsd_m"] = [float(says["resolution"]) / 100] * 2
    if "det_conf" in says:
        entries["thresholds"] = dict.fromkeys(classes, float(says["det_conf"]))
    if "det_iou_thresh" in says:
        entries["iou"] = float(says["det_iou_thresh"])
    if (overlap := round(side * float(says.get("tiles_overlap", 0)) / 100)) > 0:
        entries["largest_object_px"] = overlap
    return {**entries, **given, "layout": layout}


def _kind(says: Mapping[str, Any]) -> str | None:
    """The layout that the metadata names, if any.

    Raises:
        ModelError: if the model is no detector.
    """
    kind, task = str(says.get("model_type", "Detector")), str(says.get("task", "detect"))
    if kind.lower() != "detector" or task not in _TASKS:
        raise ModelError(
            f"it is a model for '{task if task not in _TASKS else kind}'; lcageo runs detectors of objects"
        )
    if "det_type" in says:
        return str(says["det_type"])
    arguments = says.get("args")
    if says.get("end2end") or (isinstance(arguments, dict) and arguments.get("nms")):
        return Layout.END_TO_END
    return _TASKS[task] if "end2end" in says or task != "detect" else None  # older ones do not say: the shapes do


def _side(file: OnnxFile, given: Mapping[str, Any]) -> int:
    """Side of the tiles that it takes, pixels."""
    if len(file.image) not in (3, 4) or file.image[-3] not in (3, None):
        raise ModelError(
            f"its input has the shape {file.image}; lcageo gives red, green and blue of one tile: (1, 3, side, side)"
        )
    if len(file.image) == 4 and file.image[0] not in (1, None):
        raise ModelError(f"it takes {file.image[0]} tiles at a time; export it with a batch of 1")
    height, width = file.image[-2:]
    if height != width:
        raise ModelError(f"its tiles of {width} x {height} pixels are not square; export it with a square image size")
    said = next((file.metadata[name] for name in ("tile_size", "tiles_size", "imgsz") if name in file.metadata), None)
    if isinstance(said, list | tuple):
        said = said[0]
    if (asked := given.get("tile_size")) is not None and height is not None and asked != height:
        raise ModelError(f"it takes tiles of {height} pixels only, not of {asked}; leave out --model-tile")
    side = height or asked or said
    if side is None:
        raise ModelError("it takes tiles of any size; say which one it was trained with: --model-tile 640")
    return int(side)


def _classes(says: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the classes by number; a number that has no name gets one."""
    found = says.get("class_names", says.get("names"))
    if not found:
        return ()
    if isinstance(found, list | tuple):
        return tuple(map(str, found))
    names = {int(number): str(name) for number, name in dict(found).items()}
    if min(names) < 0 or max(names) >= MAX_CLASSES:
        raise ValueError(f"classes are numbered from {min(names)} to {max(names)}")
    return tuple(names.get(number, f"class {number}") for number in range(max(names) + 1))


def _three(value: Any) -> tuple[float, float, float]:
    red, green, blue = [float(value)] * 3 if isinstance(value, int | float) else map(float, value)
    return red, green, blue


def _value(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return parse(text)
    return text


def _shape(value: Any) -> Shape:
    """Shape of a graph's input or output; axes of unknown size are None."""
    axes = value.type.tensor_type.shape.dim
    return tuple(axis.dim_value if axis.dim_value > 0 else None for axis in axes)
