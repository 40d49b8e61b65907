"""Reproduces Table I of the LCA-Det paper: all systems with one budget, on the same images, with several seeds.

    python examples/table1/table1.py --schedule pretrained --out runs/table1-pretrained
    python examples/table1/table1.py --data VHR10/train.json --val VHR10/val.json --out runs/table1
    python examples/table1/table1.py --schedule 1x --data DIOR --backbone-weights resnet50.pth --out runs/table1-dior

Trains each system with each seed into OUT/SYSTEM-sSEED, all systems with seed 0 first; data, steps, schedule and
augmentation are the same for all. After the last run, OUT/table1.json, table1.md and table1.png are written from all
finished runs in OUT; the same command with `--minutes-limit 0` writes them at any time. If a run was stopped or killed,
run the same command again to resume it; finished runs are skipped. A second process with the same command, on another
core, takes runs that no other process is at.

`--warm-up 0.1` adds rows for `lca-sa` and `lca` that assign objects by geometry in the first tenth of the run.
`--variants` adds `lca` with other numbers in its alignment metric: all of them, or those that are named.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from report import write_report
from runs import Run, System, claimed, perform, read_finished, runs_in
from speed import measure_speed
from variants import VARIANTS

from lcageo.errors import InterruptedRunError, LcageoError, UsageError
from lcageo.network_config import Preset
from lcageo.plural import plural
from lcageo.training.config import TrainConfig, read_recipe
from lcageo.training.data import load_training_data
from lcageo.training.loop import RunOptions

SYSTEMS = (Preset.RETINANET, Preset.FCOS, Preset.LCA_BASELINE, Preset.LCA_H, Preset.LCA_SA, Preset.LCA)
WARMED_UP = (Preset.LCA_SA, Preset.LCA)
"""Systems that a geometric warm-up changes."""
SCHEDULES = ("pretrained", "cpu", "gpu", "1x")
"""Names of the recipes beside this file, NAME.toml."""


def recipe(options: argparse.Namespace) -> TrainConfig:
    """The settings that all runs share.

    Raises:
        UsageError: if they would differ between systems, or a system cannot be trained with them.
    """
    beside = options.schedule in SCHEDULES
    path = Path(__file__).with_name(f"{options.schedule}.toml") if beside else Path(options.schedule)
    given = {"data": options.data, "val": options.val, "backbone_weights": options.backbone_weights}
    config = read_recipe(path).changed({name: value for name, value in given.items() if value})
    for name in ("minutes", "start_from"):
        if getattr(config, name) is not None:
            raise UsageError(f"recipe '{path}' sets {name}, which makes systems incomparable; remove it")
    has_weights = config.pretrained or config.backbone_weights is not None
    if config.norm is None and not has_weights and Preset.FCOS in options.preset:
        raise UsageError(
            f"recipe '{path}' does not set norm, and fcos freezes its norms, which requires pretrained weights; use "
            "--backbone-weights (a torchvision checkpoint), or set norm in the recipe"
        )
    return config


def planned(config: TrainConfig, options: argparse.Namespace) -> list[Run]:
    """All runs, in the order of execution."""
    systems = [System(str(preset), preset) for preset in options.preset]
    if options.warm_up:
        warmed = [preset for preset in WARMED_UP if preset in options.preset]
        systems += [System(f"{preset}+warmup", preset, options.warm_up) for preset in warmed]
    pairs = [(one, seed) for seed in range(options.seeds) for one in systems]
    if options.variants is not None:
        names = options.variants or VARIANTS
        variants = [System(f"{Preset.LCA}+{name}", Preset.LCA, metric=VARIANTS[name]) for name in names]
        pairs += [(one, seed) for seed in range(options.seeds) for one in variants]
    runs = []
    for one, seed in pairs:
        changes = {"preset": one.preset, "seed": seed, "geometric_warmup": one.geometric_warmup}
        runs.append(Run(one, seed, config.changed(changes), options.out / f"{one.name}-s{seed}"))
    return runs


def table1(options: argparse.Namespace) -> None:
    """Performs the missing runs within the time limit."""
    started = time.monotonic()
    config = recipe(options)
    runs = planned(config, options)
    for run in [*runs, *runs_in(options.out, config)]:
        run.refuse_other_settings()
    data = load_training_data(config, strict=False, warn=say)
    if options.time:
        measure_speed({run.system.name: run.config for run in runs if run.is_plain}, data, options.device, options.out)
    for run in runs:
        if run.is_finished:
            continue
        if time.monotonic() - started > 60 * options.minutes_limit:
            break
        with claimed(run) as is_ours:
            if not is_ours or run.is_finished:
                continue
            perform(run, data, RunOptions(options.device, options.workers, options.cache == "ram"), say)
        say(f"{run.folder.name}: finished")
    # Once, at the end: resampling takes some eight seconds for each finished run.
    finished = [read_finished(run, data.val) for run in runs_in(options.out, config)]
    if finished:
        write_report(options.out, finished, data, config)
        say(f"{options.out / 'table1.md'} has {plural(len(finished), 'run')}")
    left = [run for run in runs if not run.is_finished]
    if left:
        say(f"{len(left)} of {len(runs)} runs are left; run the same command again to resume")


def say(line: str) -> None:
    print(line, flush=True)  # so that a log file can be read during the runs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", help="COCO file or DIOR folder (default: the schedule's)")
    parser.add_argument("--val", action="append", help="set to evaluate on (default: the schedule's, or DIOR's split)")
    parser.add_argument("--out", type=Path, required=True, help="folder for all runs and the table")
    schedule = f"{', '.join(SCHEDULES)}, or a recipe file (default: %(default)s)"
    parser.add_argument("--schedule", default="cpu", metavar="NAME", help=schedule)
    parser.add_argument("--backbone-weights", metavar="FILE", help="torchvision checkpoint of the backbone")
    parser.add_argument("--preset", type=Preset, choices=list(Preset), nargs="*", default=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: %(default)s)")
    parser.add_argument(
        "--warm-up", type=float, metavar="SHARE", help="share of the run, for rows with a geometric warm-up"
    )
    parser.add_argument(
        "--variants", nargs="*", choices=list(VARIANTS), help="add rows for other alignment metrics (default: all)"
    )
    limit = "start no further run after this many minutes"
    parser.add_argument("--minutes-limit", type=float, default=float("inf"), metavar="MINUTES", help=limit)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes that make crops (default: depends on the cores)")
    parser.add_argument("--time", action="store_true", help="time all networks first; run nothing else meanwhile")
    parser.add_argument("--cache", choices=("none", "ram"), default="none", help="where to keep decoded images")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error("--seeds must be 1 or more")
    try:
        table1(options)
    except InterruptedRunError as stop:
        print("stopped; run the same command again to resume", file=sys.stderr)
        sys.exit(stop.exit_code)
    except LcageoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
