"""Every error that lcageo raises on purpose, and the exit code each branch ends a command with.

    LcageoError                  1
    ├── UsageError               2    mended by changing an argument
    │   └── ConfigError          2    a value that a config or card does not allow
    ├── SceneError               1    a raster that cannot be opened, read or placed
    ├── DataError                1    labelled images that cannot be read or trained on
    ├── ModelError               1    a card or weights that cannot be found, checked or loaded
    ├── DeviceError              1    the device asked for is not there
    │   └── DeviceMemoryError    1    the device cannot hold the batch
    ├── TrainingError            1    a run whose numbers went wrong
    ├── OutputError              1    a result that cannot be written, or read back
    │   └── DamagedError         1    a journal or a survey's memory that the disk has changed
    ├── PartialResultError       3    finished, with named parts missing
    └── InterruptedRunError    130    stopped by the user

A message says what is wrong, where, and how to mend it, in one or two lines.
"""


class LcageoError(Exception):
    """The root: catching it catches everything that lcageo raises on purpose."""

    exit_code = 1


class UsageError(LcageoError):
    """An argument that cannot be used; the message names it and what would be accepted."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration value or a model card entry outside what is allowed."""


class SceneError(LcageoError):
    """A raster that is missing, not a raster, truncated, or cannot be placed on a map."""


class DataError(LcageoError):
    """A labelled set, or a record or image of it, that is missing, broken or contradicts itself."""


class ModelError(LcageoError):
    """A model card or its weights that cannot be found, do not match their checksum or do not fit the network."""


class DeviceError(LcageoError):
    """A device that was asked for and is absent or unusable."""


class DeviceMemoryError(DeviceError):
    """The device cannot hold the batch; a smaller batch may go through."""


class TrainingError(LcageoError):
    """A training run that cannot go on, such as one whose loss is no longer a number."""


class OutputError(LcageoError):
    """A result that cannot be written, or read back where a later step needs it."""


class DamagedError(OutputError):
    """A file of our own that does not hold what was written to it; it can be made anew."""


class PartialResultError(LcageoError):
    """The run finished, but parts of the input are missing from the result; the message names them."""

    exit_code = 3


class InterruptedRunError(LcageoError):
    """The user stopped the run."""

    exit_code = 130
