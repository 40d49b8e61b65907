from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.scenes import noise, write_scene

import lcageo
from lcageo.runtime.catalog import ModelCard, find_card, shipped_cards, write_card
from lcageo.runtime.restriction import restriction_notice


@pytest.fixture
def card(untrained: Path) -> ModelCard:
    return replace(find_card(str(untrained)), restriction="research use only", licence="data of a university")


@pytest.fixture(autouse=True)
def new_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that does not exist yet."""
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache"


def test_a_restricted_model_is_announced_once_a_machine(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "model 'untrained' is for research use only; licence of the weights: data of a university"
    assert [restriction_notice(card) for _ in range(3)] == [line, "", ""]
    assert restriction_notice(card, always=True) == line
    monkeypatch.setenv("LCAGEO_CACHE", f"{os.environ['LCAGEO_CACHE']}-of-another-machine")
    assert restriction_notice(card) == line


@pytest.mark.parametrize("change", [{"name": "other"}, {"licence": "changed"}, {"restriction": "teaching only"}])
def test_another_model_or_another_licence_is_announced_again(card: ModelCard, change: dict[str, str]) -> None:
    assert restriction_notice(card)
    (value,) = change.values()
    assert value in restriction_notice(replace(card, **change)) and not restriction_notice(card)


def test_a_name_is_no_path(card: ModelCard, new_machine: Path) -> None:
    assert restriction_notice(replace(card, name="../../elsewhere"))
    assert [path.parent for path in new_machine.parent.rglob("*.shown")] == [new_machine]


def test_a_model_without_a_restriction_is_never_announced(card: ModelCard, new_machine: Path) -> None:
    assert restriction_notice(replace(card, restriction=""), always=True) == ""
    assert not new_machine.exists()


def test_a_cache_that_cannot_remember_means_every_time(
    card: ModelCard, new_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_machine.parent.mkdir()
    new_machine.write_text("a file where the folder should be")
    assert restriction_notice(card) == restriction_notice(card) != ""
    monkeypatch.delenv("LCAGEO_CACHE")
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # as on a GPU node
    assert restriction_notice(card) == restriction_notice(card) != ""


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="SKIPPED FOR LACK OF A TOOL: no /proc")
def test_a_read_only_cache_means_every_time(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", "/proc/lcageo")  # nobody makes a folder there, root neither
    assert restriction_notice(card) == restriction_notice(card) != ""


def test_the_shipped_cards_say_it_where_their_data_do() -> None:
    restricted = {card.name for card in shipped_cards() if card.restriction}
    assert restricted == {card.name for card in shipped_cards() if "research purposes only" in card.licence}
    assert restricted == {"lca-m", "lca-s", "lca-s-int8"}


def test_from_python_it_is_logged_once(card: ModelCard, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / card.weights.name).write_bytes(card.weights.read_bytes())
    write_card(replace(card, trained_on="something"), folder / "model.toml")
    scene = write_scene(tmp_path / "scene.tif", noise(100, 100))
    for _ in range(2):  # warnings are errors here: it is none
        lcageo.detect(scene, model=folder, backend="torch")
    assert [record.name for record in caplog.records if "is for research use only; licence" in record.message] == [
        "lcageo"
    ]
