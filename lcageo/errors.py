"""All errors that lcageo raises deliberately, with the exit code of a command that ends with one.

    LcageoError                  1
    ├── UsageError               2    fixed by changing an argument
    │   ├── ConfigError          2    a value that a config or card does not allow
    │   └── OutsideError         2    an area of interest that a scene does not overlap
    ├── SceneError               1    a raster that cannot be opened, read or georeferenced
    │   └── ServerError          1    a server or a connection that fails
    ├── DataError                1    labelled images that cannot be read or trained on
    ├── ModelError               1    a card or weights that cannot be found, checked or loaded
    ├── DeviceError              1    the requested device is not available
    │   └── DeviceMemoryError    1    the device cannot hold the batch
    ├── TrainingError            1    a training run that diverged or cannot continue
    ├── OutputError              1    a result that cannot be written, or read again
    │   └── DamagedError         1    a journal or a survey's state that is corrupt on disk
    ├── PartialResultError       3    finished, with named parts missing
    └── InterruptedRunError    130    stopped by the user

A message says what is wrong, where, and how to fix it, in one or two lines.
"""

from __future__ import annotations

import os
import pathlib


class LcageoError(Exception):
    """Base class of all errors that lcageo raises deliberately."""

    exit_code = 1


def unexpected(error: BaseException) -> str:
    """The message for an error that lcageo did not expect: a bug, or a damaged installation."""
    try:
        pathlib.Path.cwd()
    except OSError:
        return "the current folder does not exist any more; change to another one"
    mixed = os.environ.get("PYTHONPATH")
    if mixed and isinstance(error, ImportError | AttributeError | SyntaxError):
        return (
            f"packages do not fit together ({type(error).__name__}: {error}); PYTHONPATH is '{mixed}': run again "
            "without it"
        )
    if isinstance(error, ImportError):
        return f"a package cannot be imported: {error}; install lcageo again in an environment of its own"
    if isinstance(error, OSError) and error.strerror:
        what = f"'{error.filename}'" if error.filename else "a file"
        return f"{what} cannot be used: {error.strerror}; check its name, its folder and their permissions"
    return f"unexpected {type(error).__name__}: {error}; please report it with the output of --debug"


class UsageError(LcageoError):
    """An argument that cannot be used; the message names it and what is accepted."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration value or a model card entry that is not allowed."""


class OutsideError(UsageError):
    """An area of interest that does not overlap a scene."""


class SceneError(LcageoError):
    """A raster that is missing, not a raster, truncated, or cannot be georeferenced."""


class ServerError(SceneError):
    """A raster whose server does not deliver it."""

    def __init__(self, message: str, status: int = 0) -> None:
        """With the HTTP status; 0: there was no answer."""
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class DataError(LcageoError):
    """A labelled set, or a record or image of it, that is missing, broken or contradicts itself."""


class ModelError(LcageoError):
    """A model card or its weights that cannot be found, do not match their checksum or do not fit the network."""


class DeviceError(LcageoError):
    """A requested device that is not available or not usable."""


class DeviceMemoryError(DeviceError):
    """The device cannot hold the batch; a smaller batch may fit."""


class TrainingError(LcageoError):
    """A training run that cannot continue, such as one whose loss is NaN."""


class OutputError(LcageoError):
    """A result that cannot be written, or read again where a later step needs it."""


class DamagedError(OutputError):
    """A corrupt file of lcageo's own, which does not hold what was written to it; it can be recreated."""


class PartialResultError(LcageoError):
    """The run finished, but parts of the input are missing from the result; the message names them."""

    exit_code = 3


class InterruptedRunError(LcageoError):
    """The user stopped the run."""

    exit_code = 130
