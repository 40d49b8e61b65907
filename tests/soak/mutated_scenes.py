"""Runs lcageo on many damaged and hostile GeoTIFFs: each must give a result, one with holes, or a clear error.

    python tests/soak/mutated_scenes.py [--count 1000] [--seed 0] [--seconds 30] [--megabytes 1024] [--commands 20]

Each file goes through the pipeline in one of a few long-lived processes with limited time and memory; some also go
through the actual command. Files with a bad outcome are kept, and the exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from support.mutations import KINDS, Mutation, mutate, write_sources  # noqa: E402 - after the path it is found on

GRACE_S = 10
"""Seconds that a run may take to stop when asked."""
ENDINGS = ("ok", "holes", "refused", "stopped", "BAD")
GREEDY = ("memory", "alloc")
"""Words in an error that show that only the system, and not our checks, refused the file's demand for memory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run over one file went."""

    mutation: Mutation
    ending: str
    """One of ENDINGS; "stopped": still running at the time limit, and stopped when asked."""
    text: str
    seconds: float
    megabytes: float
    """Peak resident memory above that of the process without a scene."""


class Worker:
    """A child process that runs one file after the other."""

    def __init__(self, scratch: Path, seconds: float, megabytes: int) -> None:
        self._scratch, self._seconds, self._megabytes = scratch, seconds, megabytes
        self._process: subprocess.Popen[str] | None = None

    def run(self, mutation: Mutation) -> Outcome:
        """Runs one file; a process that dies is replaced for the next file."""
        path = self._scratch / f"{mutation.number:05d}.tif"
        path.write_bytes(mutation.content)
        process = self._process = self._process or self._started()
        started = time.monotonic()
        answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: answers.put(process.stdout.readline()), daemon=True).start()  # type: ignore[union-attr]
        print(path, file=process.stdin, flush=True)
        line = self._answer(answers, self._seconds)
        if line is None:
            process.send_signal(signal.SIGTERM)
            line = self._answer(answers, GRACE_S)
        seconds = time.monotonic() - started
        if not line:
            what = "hangs, and does not stop when asked" if line is None else "died"
            process.kill()
            self._process = None
            return Outcome(mutation, "BAD", f"the process {what} (exit {process.wait()})", seconds, 0)
        ending, text, megabytes = json.loads(line)
        if megabytes > self._megabytes:
            ending, text = "BAD", f"{megabytes:.0f} MB; {ending}: {text}"
        greedy = ending == "refused" and any(word in text.lower() for word in GREEDY)
        if greedy or (seconds > self._seconds and ending != "stopped"):
            ending = "BAD"
        return Outcome(mutation, ending, text, seconds, megabytes)

    @staticmethod
    def _answer(answers: queue.Queue[str], seconds: float) -> str | None:
        try:
            return answers.get(timeout=seconds)
        except queue.Empty:
            return None

    def _started(self) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, "--worker", str(self._scratch), "--megabytes", str(self._megabytes)]
        with (self._scratch / "stderr.txt").open("a") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n", "see stderr.txt"
        return process

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def work(scratch: Path, megabytes: int) -> None:
    """Main loop of a child process: reads paths from standard input, writes one line of JSON for each."""
    import faulthandler
    import traceback

    from support.attempts import attempt

    faulthandler.enable()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a late signal; a running attempt has its own handler
    warm = scratch / f"warm-{os.getpid()}.tif"
    warm.write_bytes((scratch / "tiled.tif").read_bytes())
    attempt(warm, scratch)
    ours = _status("VmSize") + 4 * megabytes  # unused address space counts as well: stacks, arenas
    resource.setrlimit(resource.RLIMIT_AS, (int(ours * 1e6), int(ours * 1e6)))
    print("ready", flush=True)
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        before = _status("VmRSS")
        try:
            ending, text = attempt(Path(line.strip()), scratch)
        except Exception as error:
            traceback.print_exc()
            ending, text = "BAD", f"{type(error).__name__}: {error}"
        print(json.dumps((ending, text, _status("VmHWM") - before)), flush=True)


def _status(name: str) -> float:
    """An entry of this process's memory status, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(name))


def run_command(path: Path, output: Path) -> str:
    """Runs `lcageo detect` on a file; returns what is wrong with its outcome, or an empty text."""
    command = [sys.executable, "-m", "lcageo", "detect", str(path), "-o", str(output), "--overwrite", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=TESTS.parent)
    if done.returncode not in (0, 1, 3) or "Traceback" in done.stderr or "unexpected" in done.stderr:
        return f"exit {done.returncode}: {done.stderr[-300:]}"
    return ""


def run_all(mutations: list[Mutation], scratch: Path, arguments: argparse.Namespace) -> list[Outcome]:
    """Runs all files in the given number of processes."""
    workers: queue.Queue[Worker] = queue.Queue()
    for _ in range(arguments.processes):
        workers.put(Worker(scratch, arguments.seconds, arguments.megabytes))

    def run(mutation: Mutation) -> Outcome:
        worker = workers.get()
        try:
            return worker.run(mutation)
        finally:
            workers.put(worker)

    with ThreadPoolExecutor(arguments.processes) as pool:
        outcomes = list(pool.map(run, mutations))
    while not workers.empty():
        workers.get().close()
    return outcomes


def print_table(outcomes: list[Outcome], verbose: bool) -> None:
    """Prints endings by kind, and the slowest and largest runs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        counts[outcome.mutation.kind][outcome.ending] += 1
        counts["all"][outcome.ending] += 1
    print(f"{'kind':24}" + "".join(f"{ending:>9}" for ending in ENDINGS))
    for kind in (*KINDS, "all"):
        print(f"{kind:24}" + "".join(f"{counts[kind][ending]:9,}" for ending in ENDINGS))
    keys: dict[str, Callable[[Outcome], float]] = {"slowest": lambda o: o.seconds, "most memory": lambda o: o.megabytes}
    for what, key in keys.items():
        for outcome in sorted(outcomes, key=key, reverse=True)[:3]:
            print(f"{what}: {_line(outcome)}")
    for outcome in outcomes:
        if verbose or outcome.ending in ("stopped", "BAD"):
            print(f"{outcome.ending}: {_line(outcome)}: {outcome.text}")


def _line(outcome: Outcome) -> str:
    one = outcome.mutation
    return f"{one.number} ({one.kind} of {one.source}) {outcome.seconds:.1f} s, {outcome.megabytes:.0f} MB"


def main() -> int:
    """Runs everything and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30, help="time limit per file")
    parser.add_argument("--megabytes", type=int, default=1024, help="limit of additional resident memory per file")
    parser.add_argument(
        "--commands", type=int, default=20, help="number of files that also go through the actual command"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="a line for each file")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the files to run")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments.worker, arguments.megabytes)
        return 0
    scratch = Path(tempfile.mkdtemp(prefix="lcageo-soak-"))
    sources = write_sources(scratch)
    mutations = [mutate(sources, number, arguments.seed) for number in arguments.only or range(arguments.count)]
    outcomes = run_all(mutations, scratch, arguments)
    print_table(outcomes, arguments.verbose)
    quick = [one.mutation.number for one in outcomes if one.ending in ("ok", "holes", "refused") and one.seconds < 5]
    chosen = random.Random(arguments.seed).sample(quick, min(arguments.commands, len(quick)))
    wrong = {number: run_command(scratch / f"{number:05d}.tif", scratch / "command.geojson") for number in chosen}
    wrong = {number: what for number, what in wrong.items() if what}
    print(f"{len(chosen)} of them with the actual command: {len(wrong)} BAD")
    for number, what in wrong.items():
        print(f"BAD with the actual command: {number}: {what}")
    bad = {one.mutation.number for one in outcomes if one.ending == "BAD"} | set(wrong)
    for one in outcomes:
        if one.mutation.number not in bad:
            (scratch / f"{one.mutation.number:05d}.tif").unlink(missing_ok=True)
    if bad:
        print(f"files with a bad outcome are kept in {scratch}")
        return 1
    shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
