"""Models as files for other programs."""

from __future__ import annotations

from pathlib import Path

from support.commands import Run


def test_an_existing_file_and_another_format_are_refused(run: Run, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("mine")
    refused = run("export", untrained, "-o", "model.onnx")
    assert refused.code == 1 and "--overwrite" in refused.err
    assert (tmp_path / "model.onnx").read_text() == "mine"
    assert run("export", untrained, "-o", "model.pt").code == 2
    assert run("export", "no-such-model", "-o", "other.onnx").code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_descriptions_stand_beside_the_file_and_are_not_replaced_unasked(
    run: Run, untrained: Path, tmp_path: Path
) -> None:
    outcome = run("export", untrained, "-o", "a.onnx", "--formats", "emd, stac")
    assert outcome.code == 0, outcome.err
    made = ["a.onnx", "a.emd", "LcaObjectDetector.py", "a.stac.json"]
    assert outcome.out.split() == made and sorted(path.name for path in tmp_path.iterdir()) == sorted(made)
    (tmp_path / "a.onnx").unlink()
    refused = run("export", untrained, "-o", "a.onnx", "--formats", "stac")
    assert refused.code == 1 and "'a.stac.json' exists" in refused.err and "--overwrite" in refused.err
    assert run("export", untrained, "-o", "b.onnx", "--formats", "emd").code == 0  # shares the function
    unknown = run("export", untrained, "-o", "c.onnx", "--formats", "stac,coreml")
    assert unknown.code == 2 and "--formats 'coreml' is not a known format; choose from stac, emd" in unknown.err
    assert run("export", untrained, "-o", "nowhere/d.onnx").code == 1 and not (tmp_path / "c.onnx").exists()
