"""Objects in the order of their scores, compared with a sort of all of them in memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcageo.database import Database
from lcageo.detections import Detections
from lcageo.errors import DamagedError
from lcageo.journal import ranked
from lcageo.journal.ranked import RankedObjects
from lcageo.nms import ranking


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 300), run=st.integers(1, 90), at_once=st.integers(1, 40))
def test_runs_on_disk_are_read_in_the_order_of_one_sort(seed: int, count: int, run: int, at_once: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice([rng.random(count), rng.choice([0.0, 0.2, 1.0], count)]).astype(np.float32)
    found = Detections(rng.integers(0, 3, (count, 4)) / 3, np.sort(scores) if seed % 2 else scores,
                       rng.integers(0, 3, count))  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranked, "RUN", run)
        patch.setattr(ranked, "AT_ONCE", at_once)
        objects = RankedObjects(Database("journal"), 4)
        for part in np.array_split(np.arange(count), 7):
            objects.add(found.selected(part))
        for _ in range(2):  # each target reads them again
            parts = list(objects)
            assert {len(part) for part in parts[:-1]} <= {at_once} and all(map(len, parts))
            together, expected = Detections.joined(parts), found.selected(ranking(found))
            for name in ("boxes_xyxy", "scores", "labels"):
                assert np.array_equal(getattr(together, name), getattr(expected, name))
        rounded = np.round(found.scores.astype(float), 4)
        for least in (0.0, 0.2, 0.2001):
            assert objects.counts([least] * 3) == tuple(
                int(((rounded >= least) & (found.labels == label)).sum()) for label in range(3)
            )
            ours = rounded[(rounded >= least) & (found.labels == 1)]
            assert objects.score_counts(1, least) == Counter(ours.tolist())
        objects.clear()
        assert list(objects) == [] and objects.counts([0.0]) == (0,)


def test_a_run_that_the_disk_has_damaged_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked, "RUN", 1)
    database = Database("journal", tmp_path / "journal")
    objects = RankedObjects(database, 4)
    objects.add(Detections(np.zeros((1, 4)), np.zeros(1, np.float32), np.zeros(1, np.int64)))
    database.change("UPDATE objects SET boxes = ?", [(b"1234567",)])
    with pytest.raises(DamagedError, match=r"run again with --restart to start over"):
        list(objects)
