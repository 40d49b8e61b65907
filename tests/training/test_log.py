"""metrics.csv is read back with the csv module, TensorBoard's events with TensorBoard."""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lcageo.errors import OutputError, UsageError
from lcageo.training.log import COLUMNS, METRICS_FILE, TAGS, TrainingLog, read_metrics

NAMES = (
    "step epoch seconds learning_rate loss class_loss box_loss centerness_loss gradient_norm images_per_second "
    "data_share mAP50 mAP75 mAP50_95"
)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / METRICS_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def events_of(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def write(log: TrainingLog, first: int, last: int) -> None:
    """A figure every ten steps, a validation every thirty."""
    for step in range(first, last + 1, 10):
        log.train(step, step // 20, {"loss": 10 / step, "learning_rate": 1e-3 * step})
        if step % 30 == 0:
            log.validation(step, step // 20, {"mAP50": step / 1000})


def test_rows_are_in_the_file_at_once_and_empty_where_nothing_is_known(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, tensorboard=False)
    assert ",".join(COLUMNS) == NAMES.replace(" ", ",")
    log.train(10, 0, {"loss": 1.25, "learning_rate": 1e-5, "seconds": 3.5, "gradient_norm": float("inf")})
    log.validation(10, 1, {"mAP50": 0.5, "mAP75": float("nan")})
    log.picture(10, "nowhere to show it", np.zeros((2, 2, 3), np.uint8))
    first, second = rows_of(tmp_path)
    assert {name: cell for name, cell in first.items() if cell} == {
        "step": "10", "epoch": "0", "seconds": "3.5", "learning_rate": "1e-05", "loss": "1.25", "gradient_norm": "inf",
    }  # fmt: skip
    assert {name: cell for name, cell in second.items() if cell} == {"step": "10", "epoch": "1", "mAP50": "0.5"}
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]


def test_numbers_keep_the_precision_of_float32(tmp_path: Path) -> None:
    values = np.random.default_rng(0).lognormal(0, 5, 50).astype(np.float32)
    with TrainingLog(tmp_path, tensorboard=False) as log:
        for step, value in enumerate(values, start=1):
            log.train(step, 0, {"loss": float(value)})
    np.testing.assert_allclose([float(row["loss"]) for row in rows_of(tmp_path)], values, rtol=1e-6)


def test_a_figure_without_a_column_is_refused(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, tensorboard=False) as log, pytest.raises(ValueError, match="'lost'"):
        log.train(1, 0, {"lost": 1.0})


@pytest.mark.parametrize("tensorboard", [False, True])
def test_the_log_of_a_resumed_run_is_that_of_an_undisturbed_one(tmp_path: Path, tensorboard: bool) -> None:
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    with TrainingLog(tmp_path / "whole", tensorboard) as log:
        write(log, 10, 100)
    with TrainingLog(tmp_path / "stopped", tensorboard) as log:
        write(log, 10, 70)  # the checkpoint was written after step 60, with its validation
    with (tmp_path / "stopped" / METRICS_FILE).open("a") as file:
        file.write("80,4,17.2,0.08,0.1")  # killed while writing
    with TrainingLog(tmp_path / "stopped", tensorboard, step=60) as log:
        write(log, 70, 100)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert (whole / METRICS_FILE).read_bytes() == (stopped / METRICS_FILE).read_bytes()
    if tensorboard:
        for tag in ("loss/all", "validation/mAP50"):
            one, other = ([(e.step, e.value) for e in events_of(f).Scalars(tag)] for f in (whole, stopped))
            assert one == other


def test_a_run_that_starts_over_leaves_nothing_of_the_previous_one(tmp_path: Path) -> None:
    for last in (50, 20):
        with TrainingLog(tmp_path, tensorboard=True) as log:
            write(log, 10, last)
    assert [row["step"] for row in rows_of(tmp_path)] == ["10", "20"]
    assert [event.step for event in events_of(tmp_path).Scalars("loss/all")] == [10, 20]


@pytest.mark.parametrize(
    "damage, steps",
    [
        (b"", [10, 20]),
        (b"30,1,,0.03", [10, 20]),
        (b"30" + b"," * 13, [10, 20]),  # all cells, but was this line finished?
        (b"30" + b"," * 12 + b"\n40" + b"," * 13 + b"\n", [10, 20, 40]),
        (b"\0\0\xff\n" + b"," * 13 + b"\n-3" + b"," * 13 + b"\n\n", [10, 20]),
        (b'30,"' + b"," * 12 + b"\n40" + b"," * 13 + b"\n", [10, 20, 40]),
    ],
)
def test_damaged_lines_are_dropped(tmp_path: Path, damage: bytes, steps: list[int]) -> None:
    with TrainingLog(tmp_path, tensorboard=False) as log:
        write(log, 10, 20)
    with (tmp_path / METRICS_FILE).open("ab") as file:
        file.write(damage)
    assert [int(row["step"]) for row in read_metrics(tmp_path / METRICS_FILE)] == steps
    with TrainingLog(tmp_path, tensorboard=False, step=100) as log:
        write(log, 110, 110)
    assert [int(row["step"]) for row in rows_of(tmp_path)] == [*steps, 110]


@pytest.mark.parametrize("content", [None, b"", b"no log of ours\n1,2\n", b"step"])
def test_a_file_that_is_not_our_log_counts_as_empty(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / METRICS_FILE).write_bytes(content)
    assert read_metrics(tmp_path / METRICS_FILE) == []
    TrainingLog(tmp_path, tensorboard=False, step=5).close()
    assert (tmp_path / METRICS_FILE).read_text() == NAMES.replace(" ", ",") + "\n"


def test_columns_of_another_version_are_converted(tmp_path: Path) -> None:
    (tmp_path / METRICS_FILE).write_text("loss,step,mood\n1.5,10,good\n1.25,20,fair\n")
    with TrainingLog(tmp_path, tensorboard=False, step=10) as log:
        log.train(20, 0, {"loss": 1.0})
    assert [(row["step"], row["loss"]) for row in rows_of(tmp_path)] == [("10", "1.5"), ("20", "1")]
    assert all(list(row) == list(COLUMNS) for row in rows_of(tmp_path))


def test_tensorboard_shows_every_figure_and_picture(tmp_path: Path) -> None:
    values = {name: 0.5 + place for place, name in enumerate(COLUMNS[2:])}
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    with TrainingLog(tmp_path, tensorboard=True) as log:
        log.train(7, 3, values)
        log.picture(7, "validation", image)
        events = events_of(tmp_path)  # before the log is closed
    assert set(events.Tags()["scalars"]) == set(TAGS.values())
    for name in set(values) - {"seconds"}:
        (event,) = events.Scalars(TAGS[name])
        assert (event.step, event.value) == (7, values[name])
    (shown,) = events.Images("validation")
    (tmp_path / "shown.png").write_bytes(shown.encoded_image_string)
    assert shown.step == 7 and np.array_equal(np.asarray(Image.open(tmp_path / "shown.png")), image)


def test_tensorboard_that_is_not_installed_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # makes its import fail
    with pytest.raises(UsageError, match=r"pip install .lcageo\[train\]"):
        TrainingLog(tmp_path, tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_tensorboard_is_not_loaded_unless_asked_for(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from lcageo.training.log import TrainingLog
TrainingLog(Path(sys.argv[1]), tensorboard=False).close()
assert not any(name.split(".")[0] in ("tensorboard", "torch") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"log '.*metrics.csv' cannot be written: No such file or directory; fix"):
        TrainingLog(tmp_path / "none", tensorboard=False)
    log = TrainingLog(tmp_path, tensorboard=False)
    log.train(10, 0, {"loss": 1.0})
    size = (tmp_path / METRICS_FILE).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limits[1]))  # as if the disk were full
    try:
        with pytest.raises(
            OutputError, match=r"cannot be written: File too large; fix that, then use --resume to continue"
        ):
            log.train(20, 0, {"loss": 1.0})
            log.train(30, 0, {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [row["step"] for row in read_metrics(tmp_path / METRICS_FILE)] == ["10"]
