from __future__ import annotations

import pytest
from benchmarks.memory import measure


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_scene() -> None:
    """36 times the pixels; `tests/benchmarks/memory.py` does the same with 30,000 x 30,000."""
    small, few, _ = measure(2000, None)
    large, many, _ = measure(12_000, None)
    assert many > 30 * few > 0
    assert large - small < 60  # MB; the scene itself has 432
