"""--max-memory: the process stays within it, or the command says what it would take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Run
from support.scenes import noise, write_scene

PEAK = """
import sys
from pathlib import Path
sys.argv = ["lcageo", *sys.argv[1:]]
from lcageo.cli.app import main
try:
    main()
finally:
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), "kB")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux' /proc")
def test_a_run_stays_within_the_memory_that_is_allowed(run: Run, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(1_300, 1_900))
    refused = run("detect", scene, "-q", "--max-memory", "50M")
    least = re.search(r"give at least ([\d,]+)M", refused.err)
    assert refused.code == 2 and least is not None
    megabytes = int(least[1].replace(",", "")) + 100
    command = [
        sys.executable,
        "-c",
        PEAK,
        "detect",
        str(scene),
        "-v",
        "--batch",
        "1024",
        "--max-memory",
        f"{megabytes}M",
    ]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    peak_kb = int(outcome.stdout.splitlines()[-1].split()[0])
    fitted = re.search(r"(\d+) tiles at a time", outcome.stderr)
    assert fitted is not None and 1 <= int(fitted[1]) < 1024 and peak_kb * 1024 < megabytes * 1e6
