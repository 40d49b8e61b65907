"""Freed memory stays in the process inside the context, and only there."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from lcageo.training.freed_memory import has_room

COUNTED = """
import resource
import torch
from lcageo.training.freed_memory import keeping_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

faults()
before = faults()
with keeping_freed_memory():
    faults()  # maps the memory that is reused
    inside = faults()
    kept = resident_mb()
print(before, inside, kept - resident_mb())
"""
"""Page faults of allocating and freeing 64 MiB twenty times, before and inside the context; MB given back after it."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_memory_is_reused_inside_and_given_back_after() -> None:
    # In a process of its own, whose heap holds nothing else.
    output = subprocess.run([sys.executable, "-c", COUNTED], check=True, capture_output=True, text=True).stdout
    before, inside, given_back = map(float, output.split())
    assert inside < before / 4
    assert given_back > 60


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
@pytest.mark.parametrize(("share", "room"), [(0.9, False), (1.1, True)])
def test_there_is_room_if_as_much_is_free_as_the_process_took(
    share: float, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=share * peak))
    assert has_room() is room
