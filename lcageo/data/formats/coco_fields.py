"""Members of the records in a COCO file, checked: ids, names, sizes, boxes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from lcageo.data.annotations import MAX_SIDE_PX, Box
from lcageo.errors import DataError

Record = dict[str, Any]
Id = int | str


def members(name: str, categories: Sequence[Any]) -> list[str]:
    """Other categories that name this one as their supercategory, as Roboflow writes them."""
    others = (one for one in categories if isinstance(one, dict) and one.get("name") != name)
    return [short(one.get("name")) for one in others if one.get("supercategory") == name]


def field_of(record: Any, key: str) -> Any:
    """A member of a record.

    Raises:
        DataError: if the record lacks it, or is no object; so do the functions below if a value cannot be used.
    """
    if not isinstance(record, dict):
        raise DataError(f"the record is {short(record)}, not an object")
    if key not in record:
        raise DataError(f"{key} is missing")
    return record[key]


def record_id(record: Any, key: str) -> int | str | float:
    """An id as it is written: a whole number, also as 1.0, or a text."""
    value = field_of(record, key)
    whole = isinstance(value, float) and value.is_integer()
    if isinstance(value, bool) or not (isinstance(value, int | str) or whole):
        raise DataError(f"{key} is {short(value)}, not a whole number or text")
    return value  # type: ignore[no-any-return]  # checked above


def plain_id(number: int | str | float) -> Id:
    """1.0 as 1."""
    return int(number) if isinstance(number, float) and number.is_integer() else number  # type: ignore[return-value]


def known_id(number: Id, known: Collection[Id]) -> Id:
    """The id under which a table has what a record refers to: 1 for '1', and the other way round."""
    if number in known:
        return number
    try:
        other = int(float(number)) if isinstance(number, str) else str(number)
    except (ValueError, OverflowError):
        return number
    return other if other in known else number


def is_ignored(record: Record, crowds_are_objects: bool = False) -> bool:
    """Whether an object is to be ignored: a crowd, unless `crowds_are_objects`, or marked with `ignore`.

    Raises:
        DataError: if a mark is neither yes nor no.
    """
    is_crowd, is_marked = _is_set(record, "iscrowd"), _is_set(record, "ignore")
    return (is_crowd and not crowds_are_objects) or is_marked


def are_masks_of_objects(records: Sequence[Any]) -> bool:
    """Whether all records are crowds with a mask: so CVAT writes whatever was drawn with a brush (cvat issue 7030)."""
    try:
        return bool(records) and all(isinstance(one, dict) and _is_crowd_with_mask(one) for one in records)
    except DataError:
        return False


def is_mask_of_cvat(record: Record) -> bool:
    """Whether a crowd is a mask that CVAT wrote, beside other shapes: its records have attributes, COCO's have none.

    Raises:
        DataError: if a mark is neither yes nor no.
    """
    attributes = record.get("attributes")
    return isinstance(attributes, dict) and "occluded" in attributes and _is_crowd_with_mask(record)


def _is_crowd_with_mask(record: Record) -> bool:
    return isinstance(record.get("segmentation"), dict) and _is_set(record, "iscrowd")


def _is_set(record: Record, key: str) -> bool:
    value = record.get(key)
    text = value.strip().lower() if isinstance(value, str) else value
    if text in (None, 0, "", "0", "0.0", "false"):
        return False
    if text in (1, "1", "1.0", "true"):
        return True
    raise DataError(f"{key} is {short(value)}, neither 0 nor 1")


def rotation_of(record: Record) -> float:
    """Degrees by which CVAT turned the box clockwise around its centre; 0 if it did not.

    Raises:
        DataError: if the rotation is no number.
    """
    attributes = record.get("attributes")
    value = attributes.get("rotation") if isinstance(attributes, dict) else None
    if value is None:
        return 0.0
    try:
        degrees = float(value)
    except (TypeError, ValueError, OverflowError):
        degrees = math.nan
    if not math.isfinite(degrees):
        raise DataError(f"rotation is {short(value)}, not a number of degrees")
    return degrees


def gsd_m_of(record: Record) -> float | None:
    """Metres per pixel, as `lcageo chips` writes them; other sets may use the name for something else."""
    value = record.get("gsd_m")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < float("inf") else None


def text_of(record: Any, key: str) -> str:
    """A text that is not empty."""
    value = field_of(record, key)
    # JSON can encode lone surrogates, which no file name or terminal accepts.
    if not isinstance(value, str) or not value or value.encode(errors="ignore").decode() != value:
        raise DataError(f"{key} is {short(value)}, not a non-empty text")
    return value


def side_of(record: Any, key: str) -> int:
    """Width or height of an image, pixels."""
    value = field_of(record, key)
    if not _is_number(value) or not 1 <= value <= MAX_SIDE_PX or value != int(value):
        raise DataError(f"{key} is {short(value)}, not a positive whole number of pixels")
    return int(value)


def box_of(record: Any) -> Box:
    """The box as corners, pixels."""
    value = field_of(record, "bbox")
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        raise DataError(f"bbox is {short(value)}, not four numbers x, y, width, height")
    x, y, width, height = map(float, value)
    return x, y, x + width, y + height


def valid_box(record: Record) -> Box | None:
    """The record's box, unless it is missing, malformed or all 0, as some tools write it for polygons."""
    try:
        box = box_of(record)
    except DataError:
        return None
    return box if any(box) else None


def _is_number(value: Any) -> bool:
    # The comparison also rejects NaN, infinity, and integers that no float can hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_SIDE_PX


def short(value: Any) -> str:
    """A value for messages, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
