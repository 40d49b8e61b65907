"""The `lcageo` command: the command group, and the only place where errors become a message and an exit code."""

from __future__ import annotations

import _thread
import atexit
import gc
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lcageo.cli import console
from lcageo.cli.batch import batch
from lcageo.cli.bench import bench
from lcageo.cli.chips import chips
from lcageo.cli.data import data
from lcageo.cli.detect import detect
from lcageo.cli.doctor import doctor
from lcageo.cli.evaluate import evaluate
from lcageo.cli.export import export
from lcageo.cli.filter import filter_
from lcageo.cli.info import info
from lcageo.cli.models import models
from lcageo.cli.qgis import qgis
from lcageo.cli.report import report
from lcageo.cli.train import train
from lcageo.errors import InterruptedRunError, LcageoError, unexpected
from lcageo.stop import at_second_signal
from lcageo.version import __version__

_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"
_POSTPONED_S = 0.002


class PlainErrors(TyperGroup):
    """A command group whose commands have help in groups, but which shows wrong usage in plain lines, for logs."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line; commands below keep their own mode for help."""
        self.rich_markup_mode = None
        return super().main(*arguments, **options)


app = typer.Typer(
    name="lcageo",
    cls=PlainErrors,
    help="Finds objects in large georeferenced imagery and writes them as map features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # main() prints errors, on one line
    rich_markup_mode="markdown",  # groups of options; examples as they are typed
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(detect)
app.command()(batch)
app.command("filter")(filter_)
app.command()(report)
app.command()(info)
app.command()(bench)
app.command()(export)
app.command()(chips)
app.command()(train)
app.command()(evaluate)
app.command()(doctor)
app.add_typer(models, name="models")
app.add_typer(data, name="data")
app.add_typer(qgis, name="qgis")


def _show_version(requested: bool) -> None:
    if requested:
        console.data(f"lcageo {__version__}")
        raise typer.Exit


@app.callback()
def group(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Finds objects in large georeferenced imagery and writes them as map features."""


def program() -> None:
    """Runs the command line as a whole process.

    It ends without freeing what libraries hold, which takes 0.2 seconds: all files have been closed by then.
    """
    try:
        main()
    except SystemExit as ended:
        atexit._run_exitfuncs()  # as Python does at the end: multiprocessing, for instance, ends its processes
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader of our output has exited
                stream.flush()
        os._exit(ended.code if isinstance(ended.code, int) else int(ended.code is not None))


def main() -> None:
    """Runs the command line; raises SystemExit."""
    # At Python's 700, collecting garbage takes 0.1 seconds of the start, since imports make objects that stay.
    gc.set_threshold(20_000)
    console.open_streams()
    # OpenVINO also imports its converter of other models, which takes longer than the rest and which we never use.
    sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]  # Python's own mark of what must not be imported
    if not sys.warnoptions and "--debug" not in sys.argv:
        warnings.simplefilter(
            "ignore"
        )  # libraries' warnings are for developers; what users need to know, we print ourselves
        logging.getLogger().addHandler(logging.NullHandler())  # the same for GDAL's log messages
        sys.unraisablehook = lambda details: None  # and for GDAL messages that are not UTF-8, which cannot be logged
    at_second_signal(_end_at_once)
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(prog_name="lcageo", windows_expand_args=False)  # which would also expand patterns in quotes
    except InterruptedRunError as interruption:
        _exit(str(interruption), interruption.exit_code, console.stopped)
    except LcageoError as failure:
        _exit(str(failure), failure.exit_code)
    except MemoryError:
        _exit("this machine is out of memory; close other programs or use a smaller --batch", 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has exited: nobody would see a message
        sys.exit(1)
    except Exception as failure:  # a bug in lcageo: still one line, which says how to see more
        _exit(unexpected(failure), 1)


def _exit(message: str, code: int, show: Callable[[str], None] = console.error) -> None:
    # Looked up in sys.argv, since the error may have happened before the command's arguments were parsed.
    if "--debug" in sys.argv:
        console.trace(traceback.format_exc())
    show(message)
    sys.exit(code)


def _end_at_once() -> None:
    """Ends the process although the main thread cannot: it waits for a server, for instance."""
    os.write(2, b"stopped immediately by a second signal\n")
    os._exit(InterruptedRunError.exit_code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raises InterruptedRunError in the main thread, a moment later where that is importing.

    Python's import system takes locks that an exception at the wrong place leaves locked for ever, for all threads
    (CPython 3.11, `_get_module_lock` in importlib/_bootstrap.py); in a callback it even loses the exception.
    """
    if frame is not None and frame.f_code.co_filename == _IMPORT_SYSTEM:
        threading.Timer(_POSTPONED_S, _thread.interrupt_main, (number,)).start()
        return
    raise InterruptedRunError(f"stopped by {signal.Signals(number).name}; the output in progress was not written")
