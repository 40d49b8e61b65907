"""Which rasters belong to a survey."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.errors import UsageError
from lcageo.survey.scenes import find_scenes


def places(sources: list[str], pattern: str | None = None, recursive: bool = False, out: str = "out") -> list[str]:
    return [str(scene.place) for scene in find_scenes(sources, pattern, recursive, Path(out))]


def test_scenes_are_found_in_folders_patterns_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("s/a.tif", "s/B.TIF", "s/c.jp2", "s/d.png", "s/.hidden.tif", "s/deep/a.tif", "s/out/z.tif", "e.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert places(["s"]) == ["B", "a", "c"] and places(["s"], "*.png") == ["d"]
    assert places(["s"], recursive=True, out="s/out") == ["B", "a", "c", "deep/a"]
    assert places(["s/*.tif"]) == ["a"] and places(["s/**/*.tif"], recursive=True) == ["a", "a", "z"]
    (tmp_path / "list.txt").write_text("# a flight\ns/a.tif\n\n/vsicurl/http://host/x.tif\n", encoding="utf-8-sig")
    scenes = find_scenes(["list.txt", "s/a.tif"], None, False, Path("out"))
    assert [scene.path for scene in scenes] == ["s/a.tif", "/vsicurl/http://host/x.tif"]
    with pytest.raises(UsageError, match="does not exist"):
        places(["nowhere"])
