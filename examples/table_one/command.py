"""What the scripts that look into trained models share: their options, a model at a time, one line of error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lcageo.data.annotations import LabelledSet
from lcageo.data.dior import DiorSplit
from lcageo.data.sets import read_sets
from lcageo.errors import LcageoError, UsageError
from lcageo.runtime.catalog import ModelCard, find_card


def models_of(options: argparse.Namespace) -> Iterator[tuple[ModelCard, LabelledSet]]:
    """Each model with the images, read with its classes; says when it is done with.

    Raises:
        UsageError: if two have one name.
    """
    seen = set[str]()
    for name in options.models:
        card = find_card(name)
        if card.name in seen:
            raise UsageError(f"'{name}' is the second model called {card.name}; name another or change its card")
        seen.add(card.name)
        yield card, read_sets(options.val, options.split, card.classes)
        print(f"{card.name}: measured", flush=True)


def run(
    work: Callable[[argparse.Namespace], None], about: str | None, pictures: int, what: str, given: Sequence[str] | None
) -> None:
    """Reads the options and does the work.

    Args:
        work: takes the options.
        about: the script's docstring.
        pictures: how many are shown unless --pictures says another number.
        what: is shown.
        given: the arguments; None: the command line's.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model folders")
    parser.add_argument("--val", type=Path, action="append", required=True, help="COCO file or DIOR folder")
    splits = list(DiorSplit)
    parser.add_argument("--split", type=DiorSplit, choices=splits, default=DiorSplit.VAL, help="of DIOR folders")
    parser.add_argument("--out", type=Path, required=True, help="folder of the three files")
    parser.add_argument("--pictures", type=int, default=pictures, help=f"{what} to show (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    options = parser.parse_args(given)
    try:
        work(options)
    except LcageoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
