from __future__ import annotations

from typing import Any


def test_it_loads_its_provider_and_unloads_it(seen: dict[str, Any]) -> None:
    assert seen["icon"] and seen["unloaded"]
