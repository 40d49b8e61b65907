"""Model cards: what code needs to know about a model, read from TOML without loading any weights."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lcageo.appearance import Appearance
from lcageo.calibration import Calibration
from lcageo.config import DEFAULT_MODEL, DetectConfig, Precision
from lcageo.errors import ConfigError, ModelError, UsageError
from lcageo.network_config import NetworkConfig, Norm, OnnxConfig, Preset
from lcageo.runtime.card_checks import refuse_invalid
from lcageo.runtime.layouts import Layout
from lcageo.runtime.onnx_file import ANY_GSD_M, onnx_entries
from lcageo.toml import toml_text

FOLDER_CARD = "model.toml"
"""File name of the card in a folder that `train` wrote."""
WEIGHTS_SUFFIXES = (".safetensors", ".onnx")
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".ckpt", ".torchscript")
NOTHING_SAID = OnnxConfig()


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model: its network, what it was trained for, and where its weights are."""

    name: str
    network: NetworkConfig | None
    """None for a detector of another program, see `layout`."""
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
    larger_tile_size: int | None = None
    """Side of larger tiles with which it was measured to find as much: less is seen twice. None: there are none."""
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
    layout: Layout | None = None
    """How the outputs of another program's ONNX graph are read; None for a network of our own."""
    iou: float | None = None
    """Overlap above which its boxes are merged, unless the user asks for another; None: DetectConfig.DEFAULT_IOU."""

    def __post_init__(self) -> None:
        refuse_invalid(self)

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
    def has_gsd(self) -> bool:
        """Whether it is known which resolutions it works at."""
        return self.gsd_m != ANY_GSD_M

    @property
    def gsd_text(self) -> str:
        """The resolutions it works at, for messages, without the unit."""
        return " to ".join(dict.fromkeys(f"{gsd:g}" for gsd in self.gsd_m))

    @property
    def own_network(self) -> NetworkConfig:
        """The settings of its network.

        Raises:
            ModelError: if it is a detector of another program.
        """
        if self.network is None:
            raise ModelError(
                f"model '{self.name}' is a detector of another program, an ONNX graph that lcageo only runs; train and "
                "export it with that program, or choose a model of lcageo"
            )
        return self.network

    @property
    def is_graph(self) -> bool:
        """Whether its weights are an ONNX graph, which torch cannot run."""
        return self.weights.suffix.lower() == ".onnx"

    @property
    def is_quantised(self) -> bool:
        """Whether it is a quantised (int8) graph of a network of our own."""
        return self.is_graph and self.layout is None

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


def find_card(model: str | None, about: OnnxConfig = NOTHING_SAID) -> ModelCard:
    """The card of a model: a shipped model's name, a card, a folder that `train` wrote, or another program's ONNX file.

    Args:
        model: None for the default model.
        about: what the user says about an ONNX file.

    Raises:
        ModelError: if there is no such model, or its card or metadata cannot be read or do not say enough.
        UsageError: if the user says something about a model that is no ONNX file of another program.
    """
    card = _find_card(model, about)
    if card.layout is None and about.entries():
        raise UsageError(
            f"model '{card.name}' has a card that describes it; --model-classes, --model-gsd, --model-layout and "
            "--model-tile are for ONNX detectors of other programs"
        )
    return card


def _find_card(model: str | None, about: OnnxConfig) -> ModelCard:
    if model is None:
        return _default_card()
    path, shipped = Path(model), models_folder() / f"{model}.toml"
    if path.is_dir() and ((path / FOLDER_CARD).is_file() or not shipped.is_file()):
        return read_card(path / FOLDER_CARD)
    if path.suffix.lower() == ".toml":
        return read_card(path, about)
    if path.suffix.lower() == ".onnx":
        return _card_of_onnx(path, about)
    if path.suffix in CHECKPOINT_SUFFIXES:
        raise ModelError(
            f"'{model}' is a checkpoint of PyTorch: it needs the code it was trained with, and can run any other. "
            f"Export it to ONNX with that code, such as: yolo export model={path.name} format=onnx"
        )
    if path.name == model and shipped.is_file():
        return read_card(shipped)
    names = ", ".join(card.name for card in shipped_cards()) or "none yet"
    raise ModelError(
        f"there is no model '{model}': neither a model folder (one with {FOLDER_CARD}), "
        f"nor a card (.toml), nor an ONNX detector (.onnx), nor one of the shipped models ({names})"
    )


def _default_card() -> ModelCard:
    path = models_folder() / f"{DEFAULT_MODEL}.toml"
    if not path.is_file():
        raise ModelError("no trained model is shipped with this version; name one with --model (a folder or a card)")
    return read_card(path)


def read_card(path: Path, about: OnnxConfig = NOTHING_SAID) -> ModelCard:
    """Reads and checks a model card; that of an ONNX detector only needs the entries that its metadata lack.

    Raises:
        ModelError: if it is missing, not TOML, or an entry is missing, unknown or not allowed.
    """
    entries = _read_toml(path)
    if "network" not in entries and str(entries.get("weights", path.with_suffix(".onnx"))).endswith(".onnx"):
        weights = path.parent / Path(str(entries.get("weights", path.with_suffix(".onnx").name))).name
        if {"layout", "weights"} & entries.keys() or weights.is_file():
            entries.pop("weights", None)
            entries = onnx_entries(weights, {**entries, **about.entries()})
    return _checked_card(entries, path)


def _card_of_onnx(path: Path, about: OnnxConfig) -> ModelCard:
    """The card of an ONNX file, from a card of the same name beside it, or from its metadata alone."""
    beside = path.with_suffix(".toml")
    if beside.is_file() and _read_toml(beside).get("weights", path.name) == path.name:
        return read_card(beside, about)
    return _checked_card(onnx_entries(path, about.entries()), path)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ModelError(
            f"model card '{path}' cannot be read: {error.strerror}; a model is a card (.toml) beside its weights"
        ) from error
    # ValueError also covers bytes that are not UTF-8 and numbers of thousands of digits, RecursionError deep nesting.
    except (ValueError, RecursionError) as error:
        raise ModelError(f"model card '{path}' is not valid TOML: {error}") from error
    if isinstance(names := entries.get("classes"), str):
        raise ModelError(f"model card '{path}' cannot be used: classes = {names!r} is a text, no list; put it in [ ]")
    return entries


def _checked_card(entries: dict[str, Any], path: Path) -> ModelCard:
    try:
        return _card_from(entries, path.resolve().parent)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, ConfigError) as error:
        raise ModelError(
            f"model card '{path}' cannot be used: {error}; compare it with a shipped card or models/README.md"
        ) from error


def write_card(card: ModelCard, path: Path) -> None:
    """Writes a card that `read_card` reads back equal; the weights must be in the same folder."""
    entries = {name: value for name, value in asdict(card).items() if value is not None}
    if card.network is not None:
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
    layout = None if entries.get("layout") is None else Layout(entries["layout"])
    weights = entries["weights"]
    if not isinstance(weights, str) or Path(weights).name != weights or not weights.lower().endswith(WEIGHTS_SUFFIXES):
        raise ConfigError(f"weights must be the name of a .safetensors or .onnx file beside the card, not {weights!r}")
    return ModelCard(
        **{
            **entries,
            "network": None if entries["network"] is None else _network(entries["network"]),
            "layout": layout,
            "classes": tuple(str(name) for name in entries["classes"]),
            "precisions": tuple(str(name) for name in entries.get("precisions", ())),
            "gsd_m": _floats(entries["gsd_m"], 2),
            "lengths_px": _floats(entries["lengths_px"], 2) if "lengths_px" in entries else None,
            "calibration": {name: Calibration(**curve) for name, curve in dict(entries.get("calibration", {})).items()},
            "appearance": Appearance.from_json(entries["appearance"]) if "appearance" in entries else None,
            "size_m": {name: _floats(lengths, 2) for name, lengths in dict(entries.get("size_m", {})).items()},
            "mean": _floats(entries["mean"], 3),
            "std": _floats(entries["std"], 3),
            "weights": folder / weights,
            "sha256": entries["sha256"].lower(),
        }
    )


def _network(entries: Any) -> NetworkConfig:
    network = dict(entries)
    network["preset"] = Preset(network["preset"])
    if "norm" in network:
        network["norm"] = Norm(network["norm"])
    return NetworkConfig(**network)


def _floats(values: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count:
        raise ValueError(f"there are {len(numbers)} numbers where {count} are expected")
    return numbers
