from __future__ import annotations

from pathlib import Path

from lcageo.data.walking import files_below


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_folders_are_entered_in_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    names = ["b/c/2.txt", "1.txt", "a/3.txt"]
    written = [write(tmp_path / name) for name in names]
    write(tmp_path / ".cache" / "4.txt")
    assert list(files_below(tmp_path)) == [written[1], written[2], written[0]]
    assert list(files_below(tmp_path / "nowhere")) == []


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "disk" / "deep" / "1.txt")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "disk")
    assert list(files_below(tmp_path / "set")) == [tmp_path / "set" / "images" / "deep" / "1.txt"]
    assert list(files_below(tmp_path / "set" / "images")) == [tmp_path / "set" / "images" / "deep" / "1.txt"]


def test_circles_end_and_links_inside_double_nothing(tmp_path: Path) -> None:
    root = tmp_path / "set"
    one = write(root / "z" / "1.txt")
    outside = write(tmp_path / "disk" / "2.txt")
    (root / "a").symlink_to(root / "z")
    (root / "z" / "up").symlink_to(root)
    (root / "z" / "itself").symlink_to("itself")
    (root / "disk").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(tmp_path)
    assert list(files_below(root)) == [one, root / "z" / "itself", root / "disk" / outside.name]
