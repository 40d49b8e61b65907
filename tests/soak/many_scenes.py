"""A folder of ten thousand scenes: how long planning takes, at first and when all scenes are done.

    python tests/soak/many_scenes.py [--scenes 10000] [--seconds 10] [--run]

The scenes are small and identical. With --run they are also processed, with a trivial predictor, and the joint layer is
made. Exits with 1 if planning takes longer than --seconds.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from lcageo.config import DetectConfig
from lcageo.inference.runner import LocalRunner
from lcageo.survey.scenes import find_scenes
from lcageo.survey.survey import SurveyConfig, open_survey

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.bright import BrightSquares, bright_card
from support.scenes import squares, write_scene


def main() -> None:
    """Prints the time of each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--run", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "survey", Path(name) / "out"
        first = write_scene(Path(name) / "first.tif", squares(100, 100, [(20, 20, 20, 250)]))
        for number in range(arguments.scenes):
            (folder / f"{number % 100:02}").mkdir(parents=True, exist_ok=True)
            shutil.copy(first, folder / f"{number % 100:02}" / f"{number:06}.tif")
        slow = [_plan(folder, out, "to be done", arguments.seconds)]
        if arguments.run:
            with open_survey(SurveyConfig(out, ".gpkg"), DetectConfig(), _runner()) as survey:
                jobs = survey.look(find_scenes([str(folder)], None, True, out))
                started = time.monotonic()
                records = list(survey.run(jobs, lambda line: None, lambda *_: None))
                print(f"{len(records):,} scenes run in {time.monotonic() - started:.1f} s")
                started = time.monotonic()
                survey.finish(lambda line: None)
                print(f"joint layer and summary in {time.monotonic() - started:.1f} s")
            slow.append(_plan(folder, out, "to be done in the second run", arguments.seconds))
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6:.0f} MB")
    sys.exit(any(slow))


def _runner() -> LocalRunner:
    return LocalRunner(BrightSquares(bright_card(128)))


def _plan(folder: Path, out: Path, what: str, allowed: float) -> bool:
    """Plans the survey; returns whether that took longer than allowed."""
    started = time.monotonic()
    with open_survey(SurveyConfig(out, ".gpkg"), DetectConfig(), _runner()) as survey:
        jobs = survey.look(find_scenes([str(folder)], None, True, out))
    seconds = time.monotonic() - started
    print(f"planned in {seconds:.1f} s: {len(jobs):,} of {len(survey.records):,} scenes {what}", flush=True)
    return seconds > allowed


if __name__ == "__main__":
    main()
