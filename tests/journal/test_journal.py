"""A run that is interrupted at any moment resumes where it stopped and gives the result of an undisturbed one."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from support.bright import BrightSquares, Failing, PowerCutError
from support.scenes import squares, write_scene

from lcageo.config import DetectConfig, Passes
from lcageo.database import delete_database
from lcageo.detections import Detections
from lcageo.errors import InterruptedRunError, OutputError, SceneError, UsageError
from lcageo.inference import results, runner
from lcageo.inference.jobs import Job
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run
from lcageo.journal import ranked
from lcageo.journal.journal import Earlier, Journal, journal_path
from lcageo.journal.tile_outcomes import TileOutcome, TileOutcomes
from lcageo.nms import ranking
from lcageo.vector.target import FileTarget

PLACES = [(x, y, 8 + (x + y) % 17, 205 + (x * y) % 50) for x in range(5, 330, 37) for y in range(5, 210, 41)]
CONFIG = DetectConfig(overlap="24")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    scene = write_scene(tmp_path / "scene.tif", squares(220, 340, PLACES))
    return Job(str(scene), (FileTarget.of(tmp_path / "found.geojson"),), None)


def run(
    job: Job, predictor: BrightSquares, config: DetectConfig = CONFIG, earlier: Earlier = Earlier.SAME
) -> tuple[bytes, list[int]]:
    """The result's bytes, and the number of finished tiles at every progress message."""
    progress: list[int] = []
    outcomes = run_jobs(
        [job],
        Run(LocalRunner(predictor, 3), config, lambda line: None, lambda _, at: progress.append(at.done), earlier),
    )
    for outcome in outcomes:
        assert outcome.error is None, outcome.error
    return job.layers[0].path.read_bytes(), progress


@pytest.mark.parametrize("in_flight", [1, runner.IN_FLIGHT])
@pytest.mark.parametrize("good", [0, 1, 5, 12])
def test_a_run_that_broke_off_resumes_and_gives_the_same_bytes(
    job: Job, good: int, in_flight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "IN_FLIGHT", in_flight)
    undisturbed, _ = run(job, Failing())
    assert not journal_path(job.layers[0].path).exists() and not list(job.layers[0].path.parent.glob(".*"))
    job.layers[0].path.unlink()
    with pytest.raises(PowerCutError):
        run(job, Failing(good))
    assert not job.layers[0].path.exists()
    predictor = Failing()
    again, progress = run(job, predictor)
    # A good batch that overtakes the one that breaks off is lost with it; one at a time, none is.
    assert again == undisturbed and progress[0] in {3 * max(0, good - lost) for lost in range(in_flight)}
    assert sum(predictor.batches) == 3 * math.ceil((progress[-1] - progress[0]) / 3)
    assert not journal_path(job.layers[0].path).exists()


@pytest.mark.parametrize("good", [5, 15, 30])
def test_a_run_resumes_in_whichever_pass_it_broke_off(job: Job, good: int) -> None:
    """40 tiles of the scene's resolution, 12 of half and 187 of twice it, three at a time."""
    config = replace(CONFIG, passes=Passes.THREE)
    undisturbed, whole = run(job, Failing(), config)
    assert whole[-1] == 40 + 12 + 187
    job.layers[0].path.unlink()
    with pytest.raises(PowerCutError):
        run(job, Failing(good), config)
    again, progress = run(job, Failing(), config)
    assert again == undisturbed and 0 < progress[0] <= 3 * good and progress[-1] == whole[-1]


def test_other_passes_are_refused_by_name(job: Job) -> None:
    with pytest.raises(PowerCutError):
        run(job, Failing(4))
    other = replace(CONFIG, passes=Passes.TWO)
    (outcome,) = run_jobs([job], Run(LocalRunner(Failing(), 3), other, lambda line: None))
    assert "--passes" in str(outcome.error)


def test_a_killed_process_leaves_a_journal_from_which_the_next_one_resumes(job: Job, tmp_path: Path) -> None:
    undisturbed, _ = run(job, Failing())
    job.layers[0].path.unlink()
    code = (
        "import signal, test_journal as t; from pathlib import Path; from lcageo.inference.jobs import Job;"
        f"layer = t.FileTarget.of(Path({str(job.layers[0].path)!r}));"
        f"t.run(Job({job.scene!r}, (layer,), None), t.Failing(6, signal.SIGKILL))"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    killed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)}, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    again, progress = run(job, Failing())
    assert again == undisturbed and progress[0] in (12, 15, 18)  # two batches may be running


def test_a_signal_ends_the_run_after_its_batch(job: Job) -> None:
    with pytest.raises(InterruptedRunError, match=r"after \d+ of \d+ tiles; run the same") as stopped:
        run(job, Failing(2, signal.SIGTERM))
    done = int(str(stopped.value).split()[2])
    assert done in (3, 6, 9)  # the signal came in the third batch, while the second may still have been running
    assert run(job, Failing())[1][0] == done


def test_other_settings_are_refused_by_name_and_restart_starts_over(job: Job) -> None:
    with pytest.raises(PowerCutError):
        run(job, Failing(4))
    other = replace(CONFIG, iou=0.5)
    (outcome,) = run_jobs([job], Run(LocalRunner(Failing(), 3), other, lambda line: None))
    assert isinstance(outcome.error, UsageError)
    assert "--iou 0.6, now 0.5;" in str(outcome.error) and "--restart" in str(outcome.error)
    assert "--overlap" not in str(outcome.error)
    assert run(job, Failing(), other, Earlier.NONE)[1][0] == 0


def test_another_scene_in_the_same_place_is_refused(job: Job) -> None:
    with pytest.raises(PowerCutError):
        run(job, Failing(4))
    write_scene(Path(job.scene), squares(220, 340, PLACES[::2]))
    (outcome,) = run_jobs([job], Run(LocalRunner(Failing(), 3), CONFIG, lambda line: None))
    assert "scene.tif [" in str(outcome.error)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal.open(path, {"model": "a"}) as journal:
        code = f"from lcageo.journal.journal import *; Journal.open(Path({str(path)!r}), {{'model': 'a'}})"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "another process is writing the same result" in second.stderr
        journal.add([TileOutcomes.of([TileOutcome(0, None)])])
    with Journal.open(path, {"model": "a"}) as journal:
        assert journal.done().tolist() == [0]


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + bytes(range(256)) * 40])
def test_a_damaged_journal_is_named_and_restart_replaces_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"damaged .* --restart"):
        Journal.open(path, {})
    with Journal.open(path, {}, Earlier.NONE) as journal:
        assert not len(journal.done())


def test_a_journal_damaged_in_its_middle_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    many = Detections(np.zeros((200, 4)), np.zeros(200, np.float32), np.zeros(200, np.int64))
    with Journal.open(path, {}) as journal:
        journal.add([TileOutcomes.of([TileOutcome(tile, many) for tile in range(40)])])
    content = bytearray(path.read_bytes())
    content[20_000:-20_000] = bytes(len(content) - 40_000)
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"--restart|cannot be written"), Journal.open(path, {}) as journal:
        list(journal.outcomes())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of some tiles."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    found = Detections(np.arange(24.0).reshape(6, 4), np.linspace(0, 1, 6, dtype=np.float32), np.arange(6))
    with Journal.open(path, {"model": "a"}) as journal:
        journal.add([TileOutcomes.of([TileOutcome(tile, found) for tile in range(9)])])
        journal.add([TileOutcomes.of([TileOutcome(9, None), TileOutcome(10, None, unread="the disk is damaged")])])
        journal.keep(found)
    return path


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4))
def test_a_damaged_journal_is_reported_or_gives_what_was_written(
    written: Path, tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz-journal"
    content = bytearray(written.read_bytes())
    for place, piece in pieces:
        place %= len(content)
        content[place : place + len(piece)] = piece
    delete_database(path)
    path.write_bytes(content)
    with suppress(OutputError, UsageError), Journal.open(path, {"model": "a"}) as journal:
        assert set(journal.done()) <= set(range(10)) and len(journal.unread()) <= 1
        for outcome in (outcome for some in journal.outcomes() for outcome in some):
            if outcome.found is not None:
                assert outcome.found.boxes_xyxy.tolist() == np.arange(24.0).reshape(6, 4).tolist()
        list(journal.objects())
        journal.forget_objects()
        assert journal.counts([0.0] * 6) == (0,) * 6 and journal.totals()[1] == 0


def test_a_number_that_changed_in_a_journal_is_damage(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    box, content = np.arange(4.0).tobytes(), written.read_bytes()
    assert content.count(box) == 9
    path.write_bytes(content.replace(box, np.array([0.0, 1.0, 2.0, 5.0]).tobytes(), 1))
    with pytest.raises(OutputError, match=r"damaged \(batch \d is not as it was written\); use --restart"):
        Journal.open(path, {"model": "a"})


def test_a_journal_of_another_format_is_refused_and_restart_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with sqlite3.connect(path) as old:  # as version 0.1 made it
        old.execute("CREATE TABLE identity (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        old.execute("INSERT INTO identity VALUES ('journal format', '3')")
        old.execute("CREATE TABLE objects (score REAL, label INTEGER, x1 REAL, y1 REAL, x2 REAL, y2 REAL)")
    old.close()
    with pytest.raises(UsageError, match=r"\(journal format 3, now 4\); resume it with that version, or use --restart"):
        Journal.open(path, {})
    with Journal.open(path, {}, Earlier.NONE) as journal:
        journal.add([TileOutcomes.of([TileOutcome(0, Detections.empty())])])
        assert journal.done().tolist() == [0]


def test_settings_may_change_while_nothing_is_done(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal.open(path, {"device": "cuda"}).close()
    with Journal.open(path, {"device": "cpu"}) as journal:
        journal.add([TileOutcomes.of([TileOutcome(0, None)])])
    with pytest.raises(UsageError, match='device "cpu", now "cuda"'):
        Journal.open(path, {"device": "cuda"})


def test_what_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal.open(path, {}) as journal:
        journal.add([TileOutcomes.of([TileOutcome(0, None), TileOutcome(1, None, unread="the network is down")])])
    with Journal.open(path, {}) as journal:
        assert journal.done().tolist() == [0] and journal.unread() == [(1, "the network is down")]
        journal.add([TileOutcomes.of([TileOutcome(1, None)])])
        assert journal.done().tolist() == [0, 1] and journal.unread() == [] and journal.totals() == (2, 0)


def test_a_full_disk_is_an_error_and_the_run_resumes_once_there_is_space(small_disk: Path) -> None:
    path, filler = small_disk / "journal", small_disk / "filler"
    many = Detections(np.zeros((2000, 4)), np.zeros(2000, np.float32), np.zeros(2000, np.int64))
    with Journal.open(path, {}) as journal:
        journal.add([TileOutcomes.of([TileOutcome(0, None)])])
        filler.write_bytes(bytes(150_000))
        with pytest.raises(OutputError, match=r"cannot be written.* make space, then run the same command again"):
            for tile in range(1, 100):
                journal.add([TileOutcomes.of([TileOutcome(tile, many)])])
    filler.unlink()
    with Journal.open(path, {}) as journal:
        done = journal.done().tolist()
        assert done == list(range(len(done))) and done[0] == 0
        journal.add([TileOutcomes.of([TileOutcome(200, None)])])


def test_a_batch_is_recorded_completely_or_not_at_all(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal", {}) as journal:
        journal.add([TileOutcomes.of([TileOutcome(5, None)])])
        no_text = TileOutcome(6, None, unread="\ud800")
        with pytest.raises(UnicodeEncodeError):
            journal.add([TileOutcomes.of([TileOutcome(4, None)]), TileOutcomes.of([no_text])])
        assert journal.done().tolist() == [5]


@settings(max_examples=50)
@given(
    boxes=arrays.arrays(np.float64, st.tuples(st.integers(0, 5), st.just(4)), elements=st.floats(-1e9, 1e9)),
    impossible=st.integers(0, 9),
)
def test_what_is_recorded_is_read_back_to_the_bit(boxes: NDArray[np.float64], impossible: int) -> None:
    found = Detections(boxes, np.linspace(0, 1, len(boxes), dtype=np.float32), np.arange(len(boxes)))
    with Journal.in_memory() as journal:
        journal.add([TileOutcomes.of([TileOutcome(7, found, impossible), TileOutcome(3, None)])])
        ((second, first),) = journal.outcomes()
        assert journal.totals() == (1, impossible)
    assert first == TileOutcome(3, None) and second.found is not None and second.impossible == impossible
    for name in ("boxes_xyxy", "scores", "labels"):
        assert np.array_equal(getattr(second.found, name), getattr(found, name))


def test_the_distance_of_a_scene_is_the_median_of_its_tiles(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal", {}) as journal:
        assert journal.distance() is None
        distances = [0.5, None, 2.0, 0.75, 9.0]
        journal.add(
            [
                TileOutcomes.of(
                    [TileOutcome(tile, Detections.empty(), distance=one) for tile, one in enumerate(distances)]
                )
            ]
        )
    with Journal.open(tmp_path / "journal", {}) as journal:
        assert [outcome.distance for some in journal.outcomes() for outcome in some] == distances
        assert (journal.distance(), journal.distance(0, 4)) == (1.375, 0.75)


def test_objects_come_back_in_parts_best_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked, "AT_ONCE", 7)
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 3, (50, 2)) * 10.0 + 1 / 3
    scores = rng.choice([0.1, 0.2, 0.7], 50).astype(np.float32)
    found = Detections(np.concatenate([corners, corners + 5], axis=1), scores, rng.integers(0, 3, 50))
    with Journal.in_memory() as journal:
        for part in np.array_split(rng.permutation(50), 4):
            journal.keep(found.selected(part))
        parts = list(journal.objects())
        for least in (0.0, 0.2, 0.2001):
            enough = np.round(found.scores.astype(float), 4) >= least
            assert journal.counts([least] * 3) == tuple(np.bincount(found.labels[enough], minlength=3).tolist())
            ours = np.round(found.scores[enough & (found.labels == 1)].astype(float), 4)
            assert journal.score_counts(1, least) == Counter(ours.tolist())
        journal.forget_objects()
        assert list(journal.objects()) == []
    together, expected = Detections.joined(parts), found.selected(ranking(found))
    assert max(map(len, parts)) == 7
    for name in ("boxes_xyxy", "scores", "labels"):
        assert np.array_equal(getattr(together, name), getattr(expected, name))


def test_a_scene_that_is_unreachable_at_the_end_loses_no_tile(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise SceneError("the server is gone")

    pictured = replace(job, quicklook=job.layers[0].path.with_suffix(".png"))
    with monkeypatch.context() as patch:
        patch.setattr(results, "reduced_image", unreachable)
        (outcome,) = run_jobs([pictured], Run(LocalRunner(Failing(), 3), CONFIG, lambda line: None))
    assert isinstance(outcome.error, SceneError) and not job.layers[0].path.exists()
    predictor = Failing()
    run(pictured, predictor)
    assert predictor.batches == [] and pictured.quicklook is not None and pictured.quicklook.exists()
