from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lcageo.data.annotations import ProblemKind
from lcageo.data.formats.label_files import LabelFiles, first_words, folders_of, label_file, match_labels, texts_below
from lcageo.data.formats.layout import SetBuilder
from lcageo.data.formats.pairing import key_of


def write(root: Path, names: Sequence[str], text: str = "0 1") -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return [root / name for name in names]


def matched(root: Path, images: Sequence[str], texts: Sequence[str]) -> LabelFiles:
    keys = [{root / name: key_of(root / name, root) for name in names} for names in (images, texts)]
    return match_labels(keys[0], keys[1], {}, lambda words: words[0].isdecimal())


def test_the_first_words_are_those_of_labels(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("car\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("")
    (tmp_path / "labels" / "b.txt").write_text("imagesource:x\n1 2 3\n")
    assert first_words(tmp_path) == ("1", "2", "3") and first_words(tmp_path / "nowhere") == ()
    assert list(texts_below(tmp_path)) == [tmp_path / "labels" / f"{name}.txt" for name in "ab"]


def test_labels_are_beside_images_or_in_the_folder_that_replaces_images(tmp_path: Path) -> None:
    image = tmp_path / "images" / "images" / "train" / "a.png"
    assert label_file(image) is None
    for place in (image.with_suffix(".txt"), tmp_path / "images" / "labels" / "train" / "a.txt"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
        assert label_file(image) == place  # the latter, if there are both


def test_the_suffix_of_labels_may_be_in_capitals(tmp_path: Path) -> None:
    image = tmp_path / "images" / "a.png"
    write(tmp_path, ["images/a.txt", "labels/a.TXT"])
    assert str(label_file(image)) == str(tmp_path / "labels" / "a.TXT")


def test_labels_without_an_image_are_told_from_those_of_another_folder_and_from_other_texts(tmp_path: Path) -> None:
    texts = ["labels/a/1.txt", "labels/b/1.txt", "labels/a/2.txt", "labels/a/empty.txt"]
    write(tmp_path, texts)
    (tmp_path / texts[3]).write_text("")
    write(tmp_path, ["notes.txt"], "bought in May\n")
    write(tmp_path, ["log.txt"], "")
    found = matched(tmp_path, ["images/a/1.jpg"], [*texts, "notes.txt", "log.txt"])
    assert found.of_image == {tmp_path / "images/a/1.jpg": tmp_path / texts[0]}
    assert found.alone == [tmp_path / texts[2], tmp_path / texts[3]] and found.unused == [tmp_path / texts[1]]


def test_the_preferred_version_of_labels_counts_and_the_other_is_not_superfluous(tmp_path: Path) -> None:
    texts = ["labelTxt-v1.5/1.txt", "labelTxt/1.txt"]
    write(tmp_path, texts)
    found = matched(tmp_path, ["1.jpg"], texts)
    assert list(found.of_image.values()) == [tmp_path / texts[1]] and not (found.alone or found.unused)


def test_problems_name_what_is_unclear_and_what_is_alone(tmp_path: Path) -> None:
    write(tmp_path, ["1.txt", "2.txt"])
    found = matched(tmp_path, ["a/1.jpg", "b/1.jpg"], ["1.txt", "2.txt"])
    builder = SetBuilder("set")
    found.report(builder, [tmp_path / "a/1.jpg"], tmp_path)
    alone, unclear = builder.problems
    assert alone.kind is ProblemKind.MISSING_IMAGE and alone.path == tmp_path / "2.txt"
    assert alone.what == "no image '2'; its labels skipped"
    assert unclear.kind is ProblemKind.UNCLEAR and unclear.path == tmp_path / "a/1.jpg"
    assert unclear.what.startswith(f"'{tmp_path / '1.txt'}' may be its labels, or another image's; give both the same")


def test_the_folders_of_files_are_the_named_ones_above_them_or_their_own() -> None:
    files = [Path(name) for name in ("x/labels/a/1.txt", "x/labels/1.txt", "y/b/1.txt", "y/2.txt")]
    assert folders_of(files, ("labels",)) == [Path("x/labels"), Path("y")]
