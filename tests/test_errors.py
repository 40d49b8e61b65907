from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from lcageo import errors
from lcageo.errors import LcageoError, unexpected


def family(root: type[LcageoError], depth: int = 0) -> Iterator[tuple[type[LcageoError], int]]:
    """An error and all that derive from it, in the order of their definition, with their depths."""
    yield root, depth
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from family(child, depth + 1)


def test_the_tree_that_the_module_draws_is_that_of_the_classes() -> None:
    drawn = re.findall(r"^    ([^A-Z]*)([A-Z]\w+) +(\d+)", errors.__doc__ or "", re.MULTILINE)
    assert [(name, len(indent) // 4, int(code)) for indent, name, code in drawn] == [
        (error.__name__, depth, error.exit_code) for error, depth in family(LcageoError)
    ]


def test_every_error_of_the_module_belongs_to_the_tree_and_says_when_it_is_raised() -> None:
    defined = {error for _, error in inspect.getmembers(errors, inspect.isclass)}
    assert defined == {error for error, _ in family(LcageoError)}
    for error in defined:
        assert (error.__doc__ or "").rstrip().endswith(".")


@pytest.mark.parametrize(
    ("error", "path", "words"),
    [
        (ZeroDivisionError("division"), "", "unexpected ZeroDivisionError: division; please report it"),
        (AttributeError("no x"), "", "unexpected AttributeError: no x; please report it"),
        (AttributeError("no x"), "/old", r"packages do not fit .* PYTHONPATH is '/old': run again without it"),
        (ImportError("no numpy"), "", "a package cannot be imported: no numpy; install lcageo again"),
        (OSError(36, "File name too long", "b.tif"), "/old", "'b.tif' cannot be used: File name too long; check"),
    ],
)
def test_an_unexpected_error_says_what_a_user_can_do(
    error: Exception, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", path)
    assert re.match(words, unexpected(error))


@pytest.mark.parametrize("error", [error for error, _ in family(LcageoError)])
def test_each_is_caught_as_lcageo_s_and_keeps_its_message(error: type[LcageoError]) -> None:
    with pytest.raises(LcageoError, match=r"^scene 'a\.tif' is damaged$"):
        raise error("scene 'a.tif' is damaged")
    assert error.exit_code != 0
