"""Checks for packages that only some commands require, which an extra of lcageo installs."""

from __future__ import annotations

from importlib import import_module

from lcageo.errors import LcageoError, UsageError


def require(what: str, extra: str | None, *packages: str, error: type[LcageoError] = UsageError) -> None:
    """Imports packages, or raises an error that says which extra installs the missing ones.

    Args:
        what: what requires them, the start of the message: 'reading VOC XML'.
        extra: the extra in pyproject.toml that lists them; None for packages that come with lcageo on most machines.
        *packages: import names of the packages.
        error: class of the error.

    Raises:
        LcageoError: of the class `error`, if a package is missing or cannot be imported.
    """
    failures: dict[str, ImportError | OSError] = {}
    for package in packages:
        try:
            import_module(package)
        except (ImportError, OSError) as failure:  # the latter for a library that Windows cannot load
            failures[package] = failure
    if failures:
        names = ", ".join(_described(package, failure) for package, failure in failures.items())
        command = f"pip install {' '.join(failures)}" if extra is None else f'pip install "lcageo[{extra}]"'
        raise error(f"{what} requires {names}: {command}") from next(iter(failures.values()))


def _described(package: str, failure: ImportError | OSError) -> str:
    """The package's name and, if it is installed but broken, why it cannot be imported."""
    is_missing = isinstance(failure, ModuleNotFoundError) and failure.name == package
    return package if is_missing else f"{package} ({failure})"
