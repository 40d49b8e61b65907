"""A run as the dialog, a model and Cancel see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.qgis_runs import Qgis
from support.readers import read_layer


def test_layers_are_added_with_their_style(seen: dict[str, Any]) -> None:
    assert seen["loading"]["layers"] == {"Objects": "categorizedSymbol", "Review": "categorizedSymbol"}


def test_the_log_has_the_command_messages_and_progress(seen: dict[str, Any]) -> None:
    lines = seen["loading"]["lines"]
    (command,) = [text for kind, text in lines if kind == "command"]
    assert command.startswith(f"{seen['command']} detect ") and "--progress" not in command
    assert [text for kind, text in lines if kind == "info" and "tiles run" in text]
    assert [text for kind, text in lines if kind == "progress" and text.startswith("tiles: ") and " found" in text]
    assert seen["loading"]["shares"][-1] == 100 and sorted(seen["loading"]["shares"]) == seen["loading"]["shares"]


def test_a_cancelled_run_writes_nothing_and_the_next_one_continues(seen: dict[str, Any]) -> None:
    about = seen["cancelling"]
    assert about["results"] == {}
    assert [text for kind, text in about["lines"] if "run it again with the same files to continue" in text]
    assert [text for kind, text in about["again"] if "resumes after" in text] and about["written"]


def test_algorithms_can_be_chained_in_a_model(seen: dict[str, Any]) -> None:
    assert seen["modelling"]["succeeded"], seen["modelling"]["lines"]
    assert seen["modelling"]["features"] == len(read_layer(seen["folder"] / "chosen.gpkg").rows) == 7


def test_temporary_outputs_are_where_they_are_reported(dialog: dict[str, Any], searched: Path) -> None:
    about = dialog["temporary"]
    count = sum(row["score"] >= 0.025 for row in read_layer(searched / "found.gpkg").rows)
    assert about["layers"] == [["categorizedSymbol", count]]
    assert about["page"] and about["chips"]


def test_parameters_that_are_left_out_have_their_defaults(qgis: Qgis, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({}))
    ended = qgis.run(
        "finetune", INPUT=tmp_path, MODEL_FOLDER=untrained, OUTPUT=tmp_path / "run", EXTRA="--no-such-option"
    )
    assert ended.code != 0 and " --imgsz 640 --minutes 30 --out " in ended.text, ended.text
