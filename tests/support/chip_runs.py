"""Runs of `lcageo chips`."""

from __future__ import annotations

PLACES = [(x, y, 20, 250) for x in range(20, 500, 80) for y in range(20, 500, 80)]
