"""Which rasters folders, patterns and lists name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.errors import UsageError
from lcageo.survey.scenes import find_scenes, is_away


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


def test_a_scene_that_is_named_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tif").touch()
    monkeypatch.chdir(tmp_path)
    assert len(find_scenes([".", "a.tif", str(tmp_path), "*.tif"], None, False, Path("out"))) == 1


def test_a_folder_is_searched_without_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.tif").touch()
    (tmp_path / "deep" / "circle").symlink_to(tmp_path, target_is_directory=True)
    assert places([str(tmp_path)], recursive=True) == ["deep/a"] and places([str(tmp_path)]) == []


def test_a_list_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"cannot be read .* give a text file with one raster per line"):
        places([str(tmp_path / "list.txt")])


def test_a_scene_is_away_with_its_disk_but_not_for_one_file_of_a_mosaic(tmp_path: Path) -> None:
    scene, disk = tmp_path / "a.vrt", tmp_path / "disk"
    disk.mkdir()
    for file in (scene, disk / "1.tif"):
        file.touch()
    names = [str(disk / "1.tif"), str(disk / "2.tif"), "NETCDF:/nowhere/a.nc:rgb", "/vsicurl/http://host/b.tif"]
    assert not is_away(str(scene), names)
    (disk / "1.tif").unlink()
    assert is_away(str(scene), names) and is_away(str(tmp_path / "b.vrt"), ())
    assert not is_away("https://host/a.tif", names[2:])
    disk.rmdir()
    assert is_away(str(scene), names) and not is_away(str(scene), ())
