"""Compiled graphs: used again by OpenVINO with equal results, and never in anyone's way."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lcageo.config import Backend, DetectConfig, Precision
from lcageo.detections import Detections
from lcageo.runtime import compiled_graph
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.compiled_graph import SUFFIX, compiled_path, keep_compiled, read_compiled
from lcageo.runtime.predictor import load_predictor

pytest.importorskip("openvino")
LOOSE = DetectConfig(score=0.02)
LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    """A shipped model: its graph need not be exported for each test's cache."""
    return find_card("lca-s-open")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def found(card: ModelCard, precision: Precision = Precision.FP32) -> list[Detections]:
    images = np.random.default_rng(0).integers(0, 255, (2, 3, card.tile_size, card.tile_size), dtype=np.uint8)
    return load_predictor(card, LOOSE, "cpu", Backend.OPENVINO, precision).predict(images)


def are_equal(some: Sequence[Detections], others: Sequence[Detections]) -> bool:
    names = ("boxes_xyxy", "scores", "labels")
    return any(len(one) for one in some) and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for one, other in zip(some, others, strict=True)
        for name in names
    )


def only_file(cache: Path) -> Path:
    (path,) = cache.glob(f"compiled/*{SUFFIX}")
    return path


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.AUTO])
def test_a_graph_from_the_cache_finds_exactly_what_a_compiled_one_does(
    card: ModelCard, own_cache: Path, precision: Precision
) -> None:
    compiled = found(card, precision)
    os.utime(only_file(own_cache), LONG_AGO)
    assert are_equal(compiled, found(card, precision))
    assert only_file(own_cache).stat().st_mtime > LONG_AGO[0], "the cached graph was not used"


def test_so_does_a_quantised_one(own_cache: Path) -> None:
    card = find_card("lca-s-int8")
    compiled = found(card, Precision.AUTO)
    os.utime(only_file(own_cache), LONG_AGO)
    assert are_equal(compiled, found(card, Precision.AUTO))
    assert only_file(own_cache).stat().st_mtime > LONG_AGO[0], "the cached graph was not used"


def test_a_damaged_file_is_replaced(card: ModelCard, own_cache: Path) -> None:
    compiled = found(card)
    whole = only_file(own_cache).read_bytes()
    middle = len(whole) // 2
    nonsense = b"not a compiled graph"
    for content in (
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        whole[:middle],
        b"",
        hashlib.sha256(nonsense).digest() + nonsense,  # OpenVINO refuses it
    ):
        only_file(own_cache).write_bytes(content)
        assert are_equal(compiled, found(card))
        assert read_compiled(only_file(own_cache)) is not None  # two exports may differ in size
        assert only_file(own_cache).read_bytes() != content


def test_without_a_writable_folder_it_is_compiled_each_time(
    card: ModelCard, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = found(card)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "file" / "cache"))
    assert are_equal(compiled, found(card))
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "compiled").write_text("no folder either")
    assert are_equal(compiled, found(card))


def test_processes_that_compile_at_once_do_not_disturb_each_other(own_cache: Path) -> None:
    program = (
        "import numpy as np\n"
        "from lcageo.config import DetectConfig\n"
        "from lcageo.runtime.catalog import find_card\n"
        "from lcageo.runtime.predictor import load_predictor\n"
        "predictor = load_predictor(find_card('lca-s-open'), DetectConfig(score=0.02), 'cpu', 'openvino')\n"
        "images = np.random.default_rng(0).integers(0, 255, (1, 3, 608, 608), dtype=np.uint8)\n"
        "print(predictor.predict(images)[0].scores.tolist())\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1] and len(outputs[0]) > len("[]\n")
    assert read_compiled(only_file(own_cache)) is not None
    assert not list(own_cache.rglob("*.part"))


def test_whatever_determines_the_compiled_graph_determines_its_path() -> None:
    made_by = ("2026.1", ("cpu", ("FP32",)), {"NUM_STREAMS": 2})
    paths = [
        compiled_path("a", b"graph", made_by),
        compiled_path("a", b"other", made_by),
        compiled_path("a", b"graph", ("2026.2", *made_by[1:])),
        compiled_path("a", b"graph", (*made_by[:2], {"NUM_STREAMS": 1})),
    ]
    assert len(set(paths)) == len(paths)
    assert compiled_path("a", b"graph", made_by) == paths[0]


def test_the_folder_keeps_what_was_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_graph, "MOST_BYTES", 3 * 132)  # files of 100 bytes and 32 of SHA-256
    paths = [tmp_path / f"{name}{SUFFIX}" for name in "abcd"]
    for age, path in zip((4, 3, 2), paths[:3], strict=True):
        keep_compiled(lambda: bytes(100), path)
        os.utime(path, (LONG_AGO[0] - age,) * 2)
    assert read_compiled(paths[0]) == bytes(100)  # used
    keep_compiled(lambda: bytes(100), paths[3])
    assert {path.name[0] for path in tmp_path.iterdir()} == {"a", "c", "d"}
    large = tmp_path / f"large{SUFFIX}"
    keep_compiled(lambda: bytes(1000), large)
    assert list(tmp_path.iterdir()) == [large]


def test_a_graph_that_cannot_be_exported_is_not_cached(tmp_path: Path) -> None:
    def refuse() -> bytes:
        raise RuntimeError("not implemented")

    keep_compiled(refuse, tmp_path / f"a{SUFFIX}")
    assert not list(tmp_path.iterdir())
