"""Files of an exported model: which, and all or none."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from lcageo.errors import ModelError, OutputError
from lcageo.export.arcgis import function_source
from lcageo.export.export import Description, export_model, exported_files
from lcageo.runtime.catalog import find_card


@pytest.mark.parametrize(
    ("formats", "beside"),
    [
        ([], []),
        ([Description.STAC], ["a.stac.json"]),
        ([Description.EMD, Description.EMD], ["a.emd", "LcaObjectDetector.py"]),
        ([Description.EMD, Description.STAC], ["a.emd", "LcaObjectDetector.py", "a.stac.json"]),
    ],
)
def test_the_graph_comes_first_and_each_description_once(formats: list[Description], beside: list[str]) -> None:
    files = exported_files(Path("out/a.onnx"), formats)
    assert files == tuple(Path("out") / name for name in ["a.onnx", *beside])


def test_what_is_announced_is_what_is_written(exported: Path) -> None:
    files = exported_files(exported / "model.onnx", list(Description))
    assert sorted(exported.iterdir()) == sorted(files)
    onnx.checker.check_model(onnx.load(files[0]))
    assert (exported / "LcaObjectDetector.py").read_text(encoding="utf-8") == function_source()


def test_nothing_is_written_where_a_file_cannot_be(untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "a.emd").mkdir()
    (tmp_path / "a.emd" / "mine").touch()
    with pytest.raises(OutputError, match=r"a\.emd"):
        export_model(find_card(str(untrained)), tmp_path / "a.onnx", [Description.EMD])
    assert [path.name for path in tmp_path.iterdir()] == ["a.emd"]


def test_weights_that_are_missing_are_refused_before_a_file_is_written(untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_bytes((untrained / "model.toml").read_bytes())
    with pytest.raises(ModelError, match="cannot be read"):
        export_model(find_card(str(tmp_path)), tmp_path / "a.onnx", [])
    assert [path.name for path in tmp_path.iterdir()] == ["model.toml"]


def test_on_a_full_disk_nothing_is_left_and_older_files_stay(untrained: Path, small_disk: Path) -> None:
    (small_disk / "a.onnx").write_text("older")
    with pytest.raises(OutputError, match=r"a\.onnx' cannot be written: No space left on device"):
        export_model(find_card(str(untrained)), small_disk / "a.onnx", list(Description))
    assert [path.name for path in small_disk.iterdir()] == ["a.onnx"]
    assert (small_disk / "a.onnx").read_text() == "older"
