"""Fixtures of the tests of runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.runtime.catalog import ModelCard, find_card


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))
