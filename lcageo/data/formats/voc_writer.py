"""Writes labelled images as Pascal VOC lays them out: Annotations/, JPEGImages/, ImageSets/Main/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from lcageo.data.annotations import Annotation
from lcageo.data.formats.yolo_writer import Named


def write_voc(folder: Path, splits: Mapping[str, Named], classes: Sequence[str]) -> dict[str, Path]:
    """Writes records and lists of names; arguments and result as in `write_yolo`."""
    lists = folder / "ImageSets" / "Main"
    records = folder / "Annotations"
    for place in (lists, records):
        place.mkdir(parents=True)
    for split, images in splits.items():
        for name, annotation in images:
            record = ElementTree.ElementTree(_record(name, annotation, classes))
            ElementTree.indent(record)
            record.write((records / name).with_suffix(".xml"), encoding="utf-8")
        stems = "".join(f"{Path(name).stem}\n" for name, _ in images)
        (lists / f"{split}.txt").write_text(stems, encoding="utf-8")
    return dict.fromkeys(splits, folder / "JPEGImages")


def _record(name: str, annotation: Annotation, classes: Sequence[str]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", name)
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", annotation.width), ("height", annotation.height), ("depth", 3)):
        _add(size, tag, str(value))
    rows = zip(annotation.labels.tolist(), annotation.difficult.tolist(), annotation.boxes_xyxy.tolist(), strict=True)
    for label, difficult, (x1, y1, x2, y2) in rows:
        node = ElementTree.SubElement(root, "object")
        _add(node, "name", classes[label])
        _add(node, "difficult", str(int(difficult)))
        bounds = ElementTree.SubElement(node, "bndbox")
        # As `voc` reads them: columns and rows are counted from 1.
        for tag, edge in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            _add(bounds, tag, f"{edge:.15g}")
    return root


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text
