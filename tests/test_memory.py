from __future__ import annotations

import pytest
from benchmarks.memory import measure


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_scene() -> None:
    """9 times the pixels, both more than the block cache holds; `tests/benchmarks/memory.py` does it with larger."""
    small, few, *_ = measure(5000, 5000, None)
    large, many, *_ = measure(15_000, 15_000, None)
    assert many > 8 * few > 0
    assert large - small < 40  # MB; the larger scene has 675
