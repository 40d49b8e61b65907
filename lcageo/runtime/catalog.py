"""Model cards: what code needs to know about a model, read from TOML without loading any weights."""

from __future__ import annotations

import hashlib
import math
import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lcageo.appearance import Appearance
from lcageo.calibration import Calibration
from lcageo.config import DEFAULT_MODEL, DetectConfig, Precision
from lcageo.errors import ConfigError, ModelError, UsageError
from lcageo.network_config import NetworkConfig, Norm, Preset
from lcageo.toml import toml_text

FOLDER_CARD = "model.toml"
"""File name of the card in a folder that `train` wrote."""
STRUCTURE_SUFFIX = ".graph.onnx"
WEIGHTS_SUFFIXES = (".safetensors", ".onnx")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model: its network, what it was trained for, and where its weights are."""

    name: str
    network: NetworkConfig
    classes: tuple[str, ...]
    tile_size: int
    """Side of the square tiles that it takes, pixels."""
    gsd_m: tuple[float, float]
    """Minimum and maximum ground sampling distance it works at, metres per pixel."""
    mean: tuple[float, float, float]
    """Mean of red, green, blue in the training images, 0 to 255."""
    std: tuple[float, float, float]
    weights: Path
    """Absolute path of the file, in the card's folder: .safetensors, or .onnx where the graph is quantised."""
    sha256: str
    """Checksum of the weights file, 64 hexadecimal digits."""
    licence: str
    trained_on: str
    """Data it was trained on; empty for a model that was not trained."""
    restriction: str = ""
    """The only use that the licence allows, as 'research use only'; empty for a model without such a limit."""
    largest_object_px: int | None = None
    """Longest side of the objects it expects, tile pixels: neighbouring tiles overlap by as much."""
    lengths_px: tuple[float, float] | None = None
    """Shortest and longest objects that it finds well at one resolution, tile pixels: others are looked for in further
    passes (`lcageo.inference.plan`). None: not known, and one pass by default."""
    precisions: tuple[str, ...] = ()
    """Precisions besides fp32 at which its results were measured to agree: mAP50 within 0.002 on validation images."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """Default minimum score per class; DetectConfig.DEFAULT_SCORE for classes that it does not name."""
    calibration: dict[str, Calibration] = field(default_factory=dict)
    """How probably a box of a given score is right, per class; unknown for classes that it does not name."""
    appearance: Appearance | None = None
    """How its training images look; None if that was not measured."""
    size_m: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Minimum and maximum length on the ground of a class's objects, metres; any for classes that it does not name."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Metrics measured on validation data."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """How it was trained: settings, version, commit. See `enlarges` and `has_fixed_statistics` for what is read."""

    def __post_init__(self) -> None:
        checks = {
            "classes (one name each, as many as network.num_classes)": len(set(self.classes))
            == len(self.classes)
            == self.network.num_classes,
            "name, licence, restriction and trained_on (text)": all(
                isinstance(text, str)
                for text in (self.name, self.licence, self.restriction, self.trained_on, self.sha256)
            ),
            "thresholds, calibration, size_m, metrics and recipe (tables)": all(
                isinstance(table, dict)
                for table in (self.thresholds, self.calibration, self.size_m, self.metrics, self.recipe)
            ),
            "tile_size and largest_object_px (whole numbers)": isinstance(self.tile_size, int)
            and isinstance(self.largest_object_px, int | None),
            "metrics (strings, numbers, and lists and tables of them; figures are numbers)": _is_plain(self.metrics)
            and all(map(_holds_figures, [self.metrics, *self.metrics.values()])),
            "recipe (strings, numbers, and lists and tables of them)": _is_plain(self.recipe),
        }
        self._refuse_unless(checks)
        checks = {
            "tile_size (64 to 4096, a multiple of 32)": 64 <= self.tile_size <= 4096 and self.tile_size % 32 == 0,
            "gsd_m (two values in metres per pixel, ascending)": 0 < self.gsd_m[0] <= self.gsd_m[1] < math.inf,
            "mean (0 to 255)": all(0 <= value <= 255 for value in self.mean),
            "std (positive)": all(0 < value < math.inf for value in self.std),
            "restriction (one line)": self.restriction.isprintable(),
            "sha256 (64 hexadecimal digits)": len(self.sha256) == 64 and set(self.sha256) <= set("0123456789abcdef"),
            "thresholds (0 to 1, for its classes)": set(self.thresholds) <= set(self.classes)
            and all(0 <= value <= 1 for value in self.thresholds.values()),
            "calibration (for its classes)": set(self.calibration) <= set(self.classes),
            "size_m (two lengths in metres, ascending, for its classes)": set(self.size_m) <= set(self.classes)
            and all(0 <= low < high < math.inf for low, high in self.size_m.values()),
            "precisions (bf16, fp16)": set(self.precisions) <= {Precision.BF16, Precision.FP16},
            "lengths_px (two lengths in pixels, ascending)": self.lengths_px is None
            or 0 < self.lengths_px[0] < self.lengths_px[1] < math.inf,
            "largest_object_px (positive)": self.largest_object_px is None or self.largest_object_px > 0,
        }
        self._refuse_unless(checks)

    def _refuse_unless(self, checks: dict[str, bool]) -> None:
        for what, holds in checks.items():
            if not holds:
                raise ConfigError(f"the card of model '{self.name}' has an invalid entry; expected {what}")

    @property
    def structure(self) -> Path:
        """File of the graph without weights (`lcageo.runtime.onnx_structure`), with which it runs without torch."""
        return self.weights.parent / f"{self.name}{STRUCTURE_SUFFIX}"

    @property
    def is_trained(self) -> bool:
        """Whether it was trained; if not, its boxes are meaningless."""
        return bool(self.trained_on)

    @property
    def fill(self) -> tuple[int, int, int]:
        """Mean colour (red, green, blue), used where there is no image: it is zero after normalisation."""
        red, green, blue = (round(value) for value in self.mean)
        return red, green, blue

    @property
    def enlarges(self) -> bool:
        """Whether images smaller than its tile are enlarged to it: not if it was trained at their own resolution."""
        return not self.recipe.get("native", False)

    @property
    def has_fixed_statistics(self) -> bool:
        """Whether its backbone was trained with a checkpoint's batch norm statistics, which fine-tuning then keeps."""
        return any(map(self.recipe.get, ("pretrained", "backbone_weights", "fixed_statistics")))

    @property
    def is_quantised(self) -> bool:
        """Whether it is a quantised (int8) graph, which torch cannot run."""
        return self.weights.suffix == ".onnx"

    def has_numbers(self, asked: Precision) -> bool:
        """Whether the model can run in this precision: a quantised one only in int8, others in all but int8."""
        return asked is Precision.AUTO or (asked is Precision.INT8) == self.is_quantised

    def agrees_in(self, precision: Precision) -> bool:
        """Whether its results in this precision were measured to match those of float32; int8 has its own card."""
        return precision in (Precision.FP32, Precision.INT8, *self.precisions)

    def least_scores(self, score: float | None) -> dict[str, float]:
        """Minimum score of each class: `score`, or if that is None, the class's own threshold."""
        return {name: self.threshold(name) if score is None else score for name in self.classes}

    def threshold(self, name: str) -> float:
        """The minimum score of a class, unless the user asks for another."""
        return self.thresholds.get(name, DetectConfig.DEFAULT_SCORE)

    def class_ids(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Indices of the classes `names`; of all classes if `names` is empty.

        Raises:
            UsageError: if a class is unknown, naming it and the known ones.
        """
        unknown = [name for name in names if name not in self.classes]
        if unknown:
            raise UsageError(
                f"model '{self.name}' has no class {', '.join(map(repr, unknown))}; it has: {', '.join(self.classes)}"
            )
        return tuple(self.classes.index(name) for name in names) or tuple(range(len(self.classes)))

    def read_weights(self) -> bytes:
        """The weights file's bytes, checked against the card's SHA-256.

        Raises:
            ModelError: if the file is missing or is not the one that the card describes.
        """
        try:
            content = self.weights.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL
            raise ModelError(f"the weights of model '{self.name}' cannot be read: {self.weights} ({error})") from error
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ModelError(
                f"{self.weights} is not the file that the card of model '{self.name}' describes: "
                f"SHA-256 {found[:12]}..., card says {self.sha256[:12]}...; download or train the model again"
            )
        return content


def models_folder() -> Path:
    """Folder of the shipped models: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


def shipped_cards() -> list[ModelCard]:
    """All shipped models, by name."""
    return [read_card(path) for path in sorted(models_folder().glob("*.toml"))]


def find_card(model: str | None) -> ModelCard:
    """The card of a model given as a shipped model's name, a card file, or a folder that `train` wrote.

    Args:
        model: None for the default model.

    Raises:
        ModelError: if there is no such model, or its card cannot be read.
    """
    if model is None:
        return _default_card()
    path = Path(model)
    if path.is_dir():
        return read_card(path / FOLDER_CARD)
    if path.suffix == ".toml":
        return read_card(path)
    shipped = models_folder() / f"{model}.toml"
    if path.name == model and shipped.is_file():
        return read_card(shipped)
    names = ", ".join(card.name for card in shipped_cards()) or "none yet"
    raise ModelError(
        f"there is no model '{model}': neither a model folder (one with {FOLDER_CARD}), "
        f"nor a card (.toml), nor one of the shipped models ({names})"
    )


def _default_card() -> ModelCard:
    path = models_folder() / f"{DEFAULT_MODEL}.toml"
    if not path.is_file():
        raise ModelError("no trained model is shipped with this version; name one with --model (a folder or a card)")
    return read_card(path)


def read_card(path: Path) -> ModelCard:
    """Reads and checks a model card.

    Raises:
        ModelError: if it is missing, not TOML, or an entry is missing, unknown or not allowed.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"model card '{path}' cannot be read: {error.strerror}; a model is a card (.toml) beside its weights"
        ) from error
    # ValueError also covers bytes that are not UTF-8 and numbers of thousands of digits, RecursionError deep nesting.
    except (ValueError, RecursionError) as error:
        raise ModelError(f"model card '{path}' is not valid TOML: {error}") from error
    try:
        return _card_from(entries, path.resolve().parent)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, ConfigError) as error:
        raise ModelError(
            f"model card '{path}' cannot be used: {error}; compare it with a shipped card or models/README.md"
        ) from error


def write_card(card: ModelCard, path: Path) -> None:
    """Writes a card that `read_card` reads back equal; the weights must be in the same folder."""
    entries = {name: value for name, value in asdict(card).items() if value is not None}
    entries["network"] = {name: value for name, value in entries["network"].items() if value is not None}
    entries["weights"] = card.weights.name
    path.write_text(toml_text(entries), encoding="utf-8")


def _card_from(entries: dict[str, Any], folder: Path) -> ModelCard:
    entries = dict(entries)
    unknown = set(entries) - {entry.name for entry in fields(ModelCard)}
    if unknown:
        raise ConfigError(f"unknown entries {sorted(unknown)}")
    missing = {entry.name for entry in fields(ModelCard) if entry.default is MISSING is entry.default_factory} - set(
        entries
    )
    if missing:
        raise ConfigError(f"missing entries {sorted(missing)}")
    network = dict(entries["network"])
    network["preset"] = Preset(network["preset"])
    if "norm" in network:
        network["norm"] = Norm(network["norm"])
    weights = entries["weights"]
    if not isinstance(weights, str) or Path(weights).name != weights or not weights.endswith(WEIGHTS_SUFFIXES):
        raise ConfigError(f"weights must be the name of a .safetensors or .onnx file beside the card, not {weights!r}")
    return ModelCard(
        **{
            **entries,
            "network": NetworkConfig(**network),
            "classes": tuple(str(name) for name in entries["classes"]),
            "precisions": tuple(str(name) for name in entries.get("precisions", ())),
            "gsd_m": _two(entries["gsd_m"]),
            "lengths_px": _two(entries["lengths_px"]) if "lengths_px" in entries else None,
            "calibration": {
                name: Calibration(**{key: float(value) for key, value in dict(curve).items()})
                for name, curve in dict(entries.get("calibration", {})).items()
            },
            "appearance": _appearance(entries["appearance"]) if "appearance" in entries else None,
            "size_m": {name: _two(lengths) for name, lengths in dict(entries.get("size_m", {})).items()},
            "mean": _three(entries["mean"]),
            "std": _three(entries["std"]),
            "weights": folder / weights,
        }
    )


def _is_plain(value: Any) -> bool:
    """Whether JSON can represent it: TOML also has dates."""
    if isinstance(value, dict | list | tuple):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str | int | float)


def _holds_figures(found: Any) -> bool:
    """Whether the figures of a data set, if `found` has any, are numbers, as the code that shows them assumes."""
    if not isinstance(found, dict):
        return True
    per_class = found.get("per_class_AP50", {})
    figures = [found.get(name, 0) for name in ("images", "mAP50", "mAP75", "mAP50_95")]
    return isinstance(per_class, dict) and all(isinstance(one, int | float) for one in (*figures, *per_class.values()))


def _appearance(entry: Any) -> Appearance:
    rows = tuple(tuple(float(value) for value in row) for row in entry["precision"])
    return Appearance(tuple(float(value) for value in entry["mean"]), rows, float(entry["limit"]))


def _two(values: Any) -> tuple[float, float]:
    low, high = (float(value) for value in values)
    return low, high


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
