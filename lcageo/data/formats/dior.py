"""DIOR as it is distributed: two image folders, VOC XML, lists of splits.

Source:
    Li, Wan, Cheng, Meng, Han: Object detection in optical remote sensing images: a survey and a new benchmark,
    ISPRS Journal 159 (2020) 296-307. Twenty classes in the paper's order, spelled as in the XML.
"""

from __future__ import annotations

from pathlib import Path

from lcageo.data.annotations import Annotation, LabelledSet, ObjectList, Problem, ProblemKind, SplitName, refuse
from lcageo.data.formats.layout import Reading
from lcageo.data.formats.voc import Node, read_voc, voc_object, voc_size
from lcageo.data.images import is_file
from lcageo.errors import DataError

DIOR_CLASSES = (
    "airplane", "airport", "baseballfield", "basketballcourt", "bridge", "chimney", "dam", "Expressway-Service-area",
    "Expressway-toll-station", "golffield", "groundtrackfield", "harbor", "overpass", "ship", "stadium", "storagetank",
    "tenniscourt", "trainstation", "vehicle", "windmill",
)  # fmt: skip
_IMAGES, _TEST_IMAGES = "JPEGImages-trainval", "JPEGImages-test"
_BOXES = "Horizontal Bounding Boxes"
_LABELS = {name.lower(): label for label, name in enumerate(DIOR_CLASSES)}
"""DIOR's labels by name in lower case, since copies of DIOR differ in capitalisation."""


def is_dior(root: Path) -> bool:
    """Whether a folder is laid out as DIOR; Pascal VOC has the same lists and records, but all images in JPEGImages."""
    has_both = (root / "ImageSets" / "Main").is_dir() and (root / "Annotations").is_dir()
    own = (_IMAGES, _TEST_IMAGES, f"Annotations/{_BOXES}")
    return has_both and any((root / name).is_dir() for name in own) and not (root / "JPEGImages").is_dir()


def listed_splits(root: Path, images: Path | None = None) -> tuple[SplitName, ...]:
    """The splits that a DIOR folder has lists of, without overlap.

    Trainval is train and val together: it is used instead of them only where one of the two has no list.

    Raises:
        DataError: if there is no list.
    """
    lists = root / "ImageSets" / "Main"
    existing = [split for split in SplitName if (lists / f"{split}.txt").exists()]
    if not existing:
        raise DataError(f"'{root}' is not laid out as DIOR: '{lists}' has none of {', '.join(SplitName)} (.txt)")
    halves = {SplitName.TRAIN, SplitName.VAL}
    use_trainval = SplitName.TRAINVAL in existing and not halves <= set(existing)
    redundant = halves if use_trainval else {SplitName.TRAINVAL}
    return tuple(split for split in existing if split not in redundant)


def read_dior(root: Path, split: SplitName, reading: Reading | None = None) -> LabelledSet:
    """One split of DIOR, in the order of its list.

    Broken records are skipped and become problems that name file and line.

    Args:
        root: the folder that contains JPEGImages-trainval, JPEGImages-test, Annotations and ImageSets.
        split: which list to read.
        reading: whether broken records are an error, and where the images are.

    Raises:
        DataError: if the folder is not laid out as DIOR, or if strict and anything is broken.
    """
    boxes = root / "Annotations" / _BOXES
    xml_folder = boxes if boxes.is_dir() else boxes.parent
    reading = reading or Reading()
    images = reading.images or root / (_TEST_IMAGES if split == SplitName.TEST else _IMAGES)
    for folder in (xml_folder, images):
        if not folder.is_dir():
            lacks = folder.relative_to(root) if folder.is_relative_to(root) else folder
            raise DataError(f"'{root}' is not laid out as DIOR: it lacks the folder '{lacks}'")
    problems: list[Problem] = []
    annotations = []
    for stem, listed in _stems(root, split, problems).items():
        annotation = _read_record(xml_folder / f"{stem}.xml", images / f"{stem}.jpg", listed, problems)
        if annotation is not None:
            annotations.append(annotation)
    if reading.strict:
        refuse(problems)
    return LabelledSet(f"{root}, {split}", DIOR_CLASSES, tuple(annotations), tuple(problems))


def _stems(root: Path, split: SplitName, problems: list[Problem]) -> dict[str, str]:
    """Names of the split's images, each once, with where they are listed."""
    lists = root / "ImageSets" / "Main"
    paths = [lists / f"{split}.txt"]
    if split == SplitName.TRAINVAL and not paths[0].exists():
        paths = [lists / "train.txt", lists / "val.txt"]
    first_seen: dict[str, str] = {}
    for path in paths:
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise DataError(f"'{root}' is not laid out as DIOR: its list '{path}' cannot be read: {error}") from error
        for number, line in enumerate(lines, start=1):
            stem, where = line.strip(), f"line {number}"
            if not stem:
                continue
            if "/" in stem or "\\" in stem:
                what = f"{stem!r} is not an image name without folder and suffix; skipped"
                problems.append(Problem(ProblemKind.BROKEN_RECORD, path, where, what))
            elif stem in first_seen:
                what = f"image {stem!r} was listed before ({first_seen[stem]}); skipped"
                problems.append(Problem(ProblemKind.DUPLICATE_IMAGE, path, where, what))
            else:
                first_seen[stem] = f"{path.name}, {where}"
    return first_seen


def _read_record(xml: Path, image: Path, listed: str, problems: list[Problem]) -> Annotation | None:
    """The annotation of one image, or None if its record cannot be used."""
    if not is_file(image):
        what = f"'{image}', listed in {listed}, does not exist; image skipped"
        problems.append(Problem(ProblemKind.MISSING_IMAGE, xml, "", what))
        return None
    try:
        root = read_voc(xml)
        objects = ObjectList(*voc_size(root))
    except DataError as error:
        problems.append(Problem(ProblemKind.BROKEN_RECORD, xml, "", f"{error}; image skipped"))
        return None
    nodes = [node for node in root.children if node.tag == "object"]
    for number, node in enumerate(nodes, start=1):
        found = _add_object(node, objects)
        if found is not None:
            problems.append(Problem(found[0], xml, f"line {node.line}, object {number}", found[1]))
    if (why := objects.unusable) is not None:
        problems.append(Problem(ProblemKind.OBJECTS_LOST, xml, "", why))
        return None
    return objects.annotation(image, range(len(DIOR_CLASSES)))


def _add_object(node: Node, objects: ObjectList) -> tuple[ProblemKind, str] | None:
    try:
        record = voc_object(node)
    except DataError as error:
        objects.skip_unread()
        return ProblemKind.BROKEN_RECORD, f"{error}; box skipped"
    label = _LABELS.get(record.name.lower())
    if label is None:
        objects.skip_unread()
        return ProblemKind.UNKNOWN_CLASS, f"{record.name!r} is not a DIOR class; box skipped"
    return objects.add(record.box, label, record.difficult)
