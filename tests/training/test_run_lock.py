"""One training in a folder at a time, and no longer than its process lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lcageo.errors import OutputError, UsageError
from lcageo.training.run_lock import alone_in

HOLD = """
import sys, time
from pathlib import Path
from lcageo.training.run_lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(600)
"""


def test_another_process_is_refused_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "own"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "holds\n"
        with pytest.raises(UsageError, match=r"another process is training in '.*own'; wait for it"), alone_in(folder):
            pass
        process.kill()
        process.wait()
    with alone_in(folder):
        pass


def test_what_fails_inside_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="of the training"), alone_in(tmp_path):
        raise OSError("of the training")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"the run's folder '.*file' cannot be created"), alone_in(tmp_path / "file"):
        pass
