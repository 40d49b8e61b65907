from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.commands import Outcome, Run

from lcageo.cli import app


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `lcageo` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back what main() changes
    monkeypatch.setattr(app.signal, "signal", lambda number, handler: None)

    def run_with(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["lcageo", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err or "--debug" in arguments
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run_with
