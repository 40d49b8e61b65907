"""The `lcageo` command: the group, and the one boundary that turns errors into a line and an exit code."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer

from lcageo.cli import console
from lcageo.cli.batch import batch
from lcageo.cli.bench import bench
from lcageo.cli.chips import chips
from lcageo.cli.data import data
from lcageo.cli.detect import detect
from lcageo.cli.evaluate import evaluate
from lcageo.cli.export import export
from lcageo.cli.filter import filter_
from lcageo.cli.info import info
from lcageo.cli.models import models
from lcageo.cli.report import report
from lcageo.cli.train import train
from lcageo.errors import InterruptedRunError, LcageoError
from lcageo.version import __version__

app = typer.Typer(
    name="lcageo",
    help="Finds objects in large georeferenced imagery and writes them as map features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # errors end in main(), as one line
    rich_markup_mode=None,  # plain help: quick to start, readable in logs
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
app.add_typer(models, name="models")
app.add_typer(data, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        console.data(f"lcageo {__version__}")
        raise typer.Exit


@app.callback()
def group(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Finds objects in large georeferenced imagery and writes them as map features."""


def main() -> None:
    """Runs the command line."""
    if not sys.warnoptions and "--debug" not in sys.argv:
        warnings.simplefilter("ignore")  # of libraries, for developers; what users should know, we say ourselves
        logging.getLogger().addHandler(logging.NullHandler())  # likewise: GDAL's remarks
        sys.unraisablehook = lambda details: None  # likewise: that one of them cannot be logged, being no UTF-8
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(prog_name="lcageo")
    except InterruptedRunError as stop:
        _leave(str(stop), stop.exit_code, console.stopped)
    except LcageoError as failure:
        _leave(str(failure), failure.exit_code)
    except MemoryError:
        _leave("this machine's memory is exhausted; close other programs or give a smaller --batch", 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nobody is left to tell
        sys.exit(1)
    except Exception as failure:  # a bug of ours: still one line, and how to see more
        _leave(f"unexpected {type(failure).__name__}: {failure}; please report it with the output of --debug", 1)


def _leave(line: str, code: int, say: Callable[[str], None] = console.error) -> None:
    # Read from the arguments, not from the command: the error may have struck before they were parsed.
    if "--debug" in sys.argv:
        console.trace(traceback.format_exc())
    say(line)
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise InterruptedRunError(f"stopped by {signal.Signals(number).name}; nothing was written of what was under way")
