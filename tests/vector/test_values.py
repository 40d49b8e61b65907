"""What other programs write in columns of classes and scores."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lcageo.vector.values import class_text, class_texts, score_numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1000001.0, "1000001"), (np.float32(3), "3"), (Decimal("7.00"), "7"), (2**53, "9007199254740992"),
        (1.5, "1.5"), (np.float32(1.1), "1.1"), (float("inf"), "inf"),
        (" car ", "car"), ("1.0", "1.0"), ("", ""), (None, ""), (pd.NA, ""), (float("nan"), ""), (True, "True"),
    ],
)  # fmt: skip
def test_a_class_is_the_same_text_whatever_the_type_of_its_column(value: Any, text: str) -> None:
    assert class_text(value) == text


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1000001, None, 2], dtype="Int64"),
        pd.Series([1000001.0, np.nan, 2.0]),
        pd.Series(["1000001 ", None, "2"], dtype="str"),
        pd.Series(pd.Categorical(["1000001", None, "2"])),
    ],
)
def test_columns_of_classes_give_the_texts_of_their_values(column: pd.Series) -> None:
    assert class_texts(column).tolist() == ["1000001", "", "2"] == [class_text(value) for value in column]
    assert class_texts(column[:0]).tolist() == []


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (pd.Series(["0,9", " 0.5 ", None, ""], dtype="str"), [0.9, 0.5, None, None]),
        (pd.Series(["90%", "0,5 %", None]), [0.9, 0.005, None]),
        (pd.Series([Decimal("0.50"), None]), [0.5, None]),
        (pd.Series([1, None], dtype="Int32"), [1.0, None]),
        (pd.Series([True, None], dtype="boolean"), [1.0, None]),
    ],
)
def test_scores_are_numbers_also_with_a_decimal_comma_or_as_per_cent(
    column: pd.Series, numbers: list[float | None]
) -> None:
    scores, wrong = score_numbers(column)
    assert [None if np.isnan(score) else score for score in scores.tolist()] == pytest.approx(numbers)
    assert not wrong.any()


@pytest.mark.parametrize("column", [pd.Series(["0.5", "high", None, "inf"]), pd.Series([0.5, np.inf, np.nan, -np.inf])])
def test_what_is_no_finite_number_is_wrong(column: pd.Series) -> None:
    assert score_numbers(column)[1].tolist() == [False, True, False, True]
