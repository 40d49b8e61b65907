"""Freed memory stays in the process while it trains on a CPU."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of mallopt."""
_NEVER_TRIM, _TRIM_DEFAULT = -1, 128 * 1024
_NO_MMAP, _MMAP_DEFAULT = 0, 65536


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Has glibc reuse freed blocks instead of returning them to the kernel; without effect on other C libraries.

    Each training step allocates and frees gigabytes of activations. By default glibc maps each large block from the
    kernel and unmaps it when it is freed, and the kernel clears all pages of the next one: up to a quarter of the time.
    The process takes as much memory as at its peak until the context ends.

    Source:
        mallopt(3): M_MMAP_MAX and M_TRIM_THRESHOLD, with their defaults.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    _set(libc, _NO_MMAP, _NEVER_TRIM)
    try:
        yield
    finally:
        _set(libc, _MMAP_DEFAULT, _TRIM_DEFAULT)
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, mmap_max: int, trim_threshold: int) -> None:
    libc.mallopt(_MMAP_MAX, mmap_max)
    libc.mallopt(_TRIM_THRESHOLD, trim_threshold)
