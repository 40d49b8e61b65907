"""Values as other programs store them: classes that are numbers, scores that are text, types that pandas lacks."""

from __future__ import annotations

import math
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_NULLABLE = {
    pyarrow.int8(): pd.Int8Dtype(), pyarrow.int16(): pd.Int16Dtype(), pyarrow.int32(): pd.Int32Dtype(),
    pyarrow.int64(): pd.Int64Dtype(), pyarrow.uint8(): pd.UInt8Dtype(), pyarrow.uint16(): pd.UInt16Dtype(),
    pyarrow.uint32(): pd.UInt32Dtype(), pyarrow.bool_(): pd.BooleanDtype(),
}  # fmt: skip
"""Types that allow missing values, as in objects drawn by hand: all parts must have the same types."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})
"""How programs write that a number is missing, in small letters."""
_OF_ARROW = (
    pyarrow.types.is_date, pyarrow.types.is_time, pyarrow.types.is_binary, pyarrow.types.is_large_binary,
    pyarrow.types.is_fixed_size_binary, pyarrow.types.is_nested, pyarrow.types.is_decimal,
)  # fmt: skip
"""Types that pandas would hold as objects, of which a part without values has no type at all."""


def class_text(value: Any) -> str:
    """A class as text, empty if missing; a whole number has no decimals, whatever the type of its column."""
    if pd.isna(value):
        return ""
    if isinstance(value, float | np.floating | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value).strip()


def class_texts(column: pd.Series) -> NDArray[Any]:
    """(N,) str: each value as `class_text` writes it."""
    codes, values = pd.factorize(column)
    texts = np.array([*map(class_text, values), ""], object)  # the code of a missing value is -1
    return np.asarray(texts[codes])


def score_numbers(column: pd.Series) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(N,) scores, NaN where there is none, and (N,) True where a value is not a finite number.

    Text may have a decimal comma or a percent sign, which divides by 100.
    """
    if pd.api.types.is_numeric_dtype(column):
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        return numbers, np.isinf(numbers)
    text = column.astype("str").str.strip().replace("", None)
    shares = text.str.endswith("%").fillna(False).to_numpy(np.bool_)
    plain = text.str.removesuffix("%").str.strip().str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = text.notna().to_numpy(np.bool_) & ~np.isfinite(numbers)
    return np.where(shares, numbers / 100, numbers), wrong


def type_in_pandas(kind: pyarrow.DataType) -> Any:
    """The pandas type of a column; None: the usual one."""
    if (known := _NULLABLE.get(kind)) is not None:
        return known
    return pd.ArrowDtype(kind) if any(is_one(kind) for is_one in _OF_ARROW) else None


def without_dictionaries(
    batch: pyarrow.RecordBatch, coded: bool, named: Collection[str | None] = ()
) -> pyarrow.RecordBatch:
    """A batch without dictionaries.

    Args:
        batch: some rows.
        coded: whether a dictionary's indices are what the file stores, and its values only describe them.
        named: columns that are described all the same, where a code has a description.
    """
    for index, field in enumerate(batch.schema):
        if not pyarrow.types.is_dictionary(field.type):
            continue
        column = batch.column(index)
        if not coded:
            column = column.dictionary_decode()
        elif field.name not in named:
            column = column.indices
        else:
            column = _described(column)
        batch = batch.set_column(index, field.name, column)
    return batch


def _described(column: pyarrow.DictionaryArray) -> pyarrow.Array:
    """What each code means; one that the dictionary does not describe stays as it is."""
    codes = column.indices
    is_known = pyarrow.compute.and_(
        pyarrow.compute.greater_equal(codes, 0), pyarrow.compute.less(codes, len(column.dictionary))
    )
    values = column.dictionary.take(pyarrow.compute.if_else(is_known, codes, None))
    return pyarrow.compute.coalesce(values, codes.cast(values.type))


def are_numbers(column: pd.Series, kind: str) -> bool:
    """Whether all texts but those that mean a missing value are numbers, whole ones for Int64."""
    texts = column.dropna().astype("str").str.strip()
    values = pd.to_numeric(texts[~texts.str.lower().isin(MISSING)], errors="coerce").astype("float64")
    return bool(np.isfinite(values).all() and (kind != "Int64" or (values % 1 == 0).all()))
