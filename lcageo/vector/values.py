"""Values as other programs store them: classes that are numbers or have blanks around them, scores that are text."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


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
