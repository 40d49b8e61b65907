from __future__ import annotations

from typing import Any

from lcageo.runtime.catalog import DEFAULT_MODEL, shipped_cards


def test_the_command_that_installed_the_plugin_is_run(seen: dict[str, Any]) -> None:
    found = seen["finding"]
    assert found["noted"] == seen["command"] and found["usable"] == [True, ""]
    assert found["models"] == found["options"] and found["models"][0] == DEFAULT_MODEL
    assert sorted(found["models"]) == sorted(card.name for card in shipped_cards())
    assert found["kept"] > 0  # it was asked once


def test_a_setting_that_names_nothing_is_told_before_the_dialog_opens(seen: dict[str, Any]) -> None:
    usable, why = seen["finding"]["unusable"]
    assert not usable and "'/nowhere' is neither the lcageo command nor" in why
    assert seen["finding"]["no models"] == []
