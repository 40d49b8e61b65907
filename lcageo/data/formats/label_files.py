"""Files of labels in plain text: where they are, and which image each belongs to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.data.annotations import ProblemKind
from lcageo.data.formats.label_text import read_lines
from lcageo.data.formats.layout import SetBuilder
from lcageo.data.formats.pairing import LABEL_FOLDERS, Key, folded, paired
from lcageo.data.images import is_file
from lcageo.data.walking import files_below
from lcageo.errors import DataError

SNIFFED = 200
"""Number of text files that are looked into to recognise a format; most are labels, and few of these are empty."""
IMAGE_FOLDERS = ("images", "jpegimages")
"""What a folder of images is called beside which there is one of labels, in lower case."""
_OTHERS = frozenset({"classes.txt", "train.txt", "val.txt", "test.txt", "trainval.txt", "requirements.txt"})
"""Text files beside labels that are none."""


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """The files of labels of a set, and their images."""

    of_image: Mapping[Path, Path]
    """The file of each image that has one."""
    unclear: Mapping[Path, Sequence[Path]]
    """For images without one, files of their name that other images may have as well."""
    alone: Sequence[Path]
    """Labels whose image is missing: there is none of their name."""
    unused: Sequence[Path]
    """Labels in a folder without an image of their name, although another folder has one."""

    def report(self, builder: SetBuilder, images: Sequence[Path], place: Path) -> None:
        """Adds problems for labels without an image, and for images of `images` whose labels are unclear."""
        for text in self.alone:
            builder.problem(ProblemKind.MISSING_IMAGE, text, "", f"no image '{text.stem}'; its labels skipped")
        if self.unused:
            what = f"files of labels that no image has: {len(self.unused):,}, such as '{self.unused[0]}'; left out"
            builder.problem(ProblemKind.UNUSED, place, "", what)
        for image in images:
            if image in self.unclear:
                texts = " or ".join(f"'{text}'" for text in self.unclear[image][:2])
                what = f"{texts} may be its labels, or another image's; give both the same folders; image skipped"
                builder.problem(ProblemKind.UNCLEAR, image, "", what)


def match_labels(
    images: Mapping[Path, Key],
    texts: Mapping[Path, Key],
    known: Mapping[Path, Path],
    is_label: Callable[[tuple[str, ...]], bool],
    pairs: bool = True,
) -> LabelFiles:
    """Finds the file of labels of each image.

    Args:
        images: all images of the set, and their keys.
        texts: all text files that may be labels, and their keys.
        known: files of labels by their image, where the place of the image says which one it is.
        is_label: whether the words of a file's first line are labels.
        pairs: whether images may have a file in another place, too.
    """
    found, unclear = paired(images, _preferred(texts), known) if pairs else (dict(known), {})
    used = {*found.values(), *(text for candidates in unclear.values() for text in candidates)}
    images, texts = ({file: folded(key) for file, key in keys.items()} for keys in (images, texts))
    keys, stems = set(images.values()), {key[-1] for key in images.values()}
    places = {text.parent for text in used}
    others = [text for text, key in texts.items() if text not in used and key not in keys]
    left = [text for text in others if _reads(text, is_label, text.parent in places)]
    alone = [text for text in left if texts[text][-1] not in stems]
    return LabelFiles(found, unclear, alone, [text for text in left if texts[text][-1] in stems])


def _preferred(texts: Mapping[Path, Key]) -> dict[Path, Key]:
    """Of files with equal keys those in the preferred folder: a set may have several versions of its labels."""
    ranks: dict[Key, list[tuple[int, Path]]] = {}
    for text, key in texts.items():
        names = {part.lower() for part in text.parts}
        rank = next((place for place, name in enumerate(LABEL_FOLDERS) if name.lower() in names), len(LABEL_FOLDERS))
        ranks.setdefault(key, []).append((rank, text))
    return {text: key for key, ranked in ranks.items() for rank, text in ranked if rank == min(ranked)[0]}


def _reads(text: Path, is_label: Callable[[tuple[str, ...]], bool], if_empty: bool) -> bool:
    """Whether a text begins with a label; `if_empty` if it says nothing, as labels of images without objects."""
    words = _first_label(text)
    return words is not None and (is_label(words) if words else if_empty)


def _first_label(text: Path) -> tuple[str, ...] | None:
    """The words of the first line behind the head; empty if there is no such line, None if the file cannot be read."""
    try:
        return next((line.words for line in read_lines(text) if not is_head(line.words)), ())
    except DataError:
        return None


def is_head(words: Sequence[str]) -> bool:
    """Whether a line is one of the head that DOTA's files have."""
    return ":" in words[0]


def first_words(folder: Path) -> tuple[str, ...]:
    """The words of the first line of labels in a folder; empty if there is none."""
    for path, _ in zip(texts_below(folder), range(SNIFFED), strict=False):
        if words := _first_label(path):
            return words
    return ()


def label_file(image: Path, folders: Sequence[str] = ("labels",)) -> Path | None:
    """The file of labels of an image: with 'images' in its path replaced, else beside it; None if there is none.

    Args:
        image: its path.
        folders: names of the folder that stands beside 'images'.
    """
    candidates = [image]
    for depth in range(len(image.parts) - 2, 0, -1):
        if image.parts[depth].lower() in IMAGE_FOLDERS:
            for name in reversed(folders):
                candidates.insert(0, Path(*image.parts[:depth], name, *image.parts[depth + 1 :]))
            break
    # File systems of Windows and macOS find either spelling; a data set copied from there may have both.
    spelt = (path.with_suffix(suffix) for path in candidates for suffix in (".txt", ".TXT"))
    return next(filter(is_file, spelt), None)


def texts_below(folder: Path) -> Iterator[Path]:
    """Text files below a folder that may be labels."""
    for path in files_below(folder):
        name = path.name.lower()
        if name.endswith(".txt") and name not in _OTHERS and not name.startswith("readme"):
            yield path


def folders_of(files: Collection[Path], names: Collection[str]) -> list[Path]:
    """The folders that hold files: of each its last one with one of some names (in lower case), else its own."""
    found = []
    for parent in {file.parent for file in files}:
        named = (one for one in (parent, *parent.parents) if one.name.lower() in names)
        found.append(next(named, parent))
    return [one for one in sorted(set(found)) if not any(above in one.parents for above in found)]
