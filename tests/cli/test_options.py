from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lcageo.cli.options import parse_bands, parse_bbox, parse_bytes, parse_gsd, parse_pair, parse_range, split_names
from lcageo.errors import UsageError


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (split_names, "ship, storage tank,,", ("ship", "storage tank")),
        (split_names, " ", ()),
        (parse_gsd, "auto", "auto"),
        (parse_gsd, "native", "native"),
        (parse_gsd, "5e-1", 0.5),
        (parse_bands, "4,3, 2", (4, 3, 2)),
        (parse_bands, "", ()),
        (parse_bbox, "-1.5,0,1e3,2", (-1.5, 0.0, 1000.0, 2.0)),
        (parse_bbox, None, None),
    ],
)
def test_texts_become_values(parse: Callable[[Any], Any], text: str | None, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (parse_gsd, "fine", "--gsd 'fine' is neither a number of metres per pixel"),
        (parse_bands, "4,,2", "--bands '4,,2' is not a list of band numbers"),
        (parse_bands, "red", "--bands 'red'"),
        (parse_bbox, "0,0,1", "--bbox '0,0,1' is not four numbers"),
        (parse_bbox, "0,0,1,1,1", "is not four numbers"),
        (parse_bbox, "", "is not four numbers"),
    ],
)
def test_other_texts_are_refused_by_the_options_name(parse: Callable[[Any], Any], text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(text)


def test_a_pair_is_two_numbers_and_names_its_option() -> None:
    assert parse_pair("0.6, 1.6", "--scale") == (0.6, 1.6) and parse_pair(None, "--scale") is None
    for text in ("", "1", "1,2,3", "a,b"):
        with pytest.raises(UsageError, match=f"--scale '{text}' is not two numbers"):
            parse_pair(text, "--scale")


@pytest.mark.parametrize(("text", "size"), [("800M", 800_000_000), ("4g", 4_000_000_000), ("1.5GB", 1_500_000_000)])
def test_sizes_are_understood(text: str, size: int) -> None:
    assert parse_bytes(text, "--max-memory") == size


@pytest.mark.parametrize("text", ["", "M", "-1G", "much", "0", "1e30G"])
def test_other_texts_are_not_sizes(text: str) -> None:
    with pytest.raises(UsageError, match=r"--max-memory .* is not a size such as 800M or 4G"):
        parse_bytes(text, "--max-memory")


def test_a_range_may_be_a_single_number() -> None:
    assert parse_range("0.3", "--model-gsd") == (0.3, 0.3)
    assert parse_range("0.2,0.4", "--model-gsd") == (0.2, 0.4)
    for text in ("", "fine", "0.1,0.2,0.3", ",0.2"):
        with pytest.raises(UsageError, match=f"--model-gsd '{text}' is not a number such as 0.3, or two"):
            parse_range(text, "--model-gsd")
