"""Opening predictors and runners as settings ask for them, and what the user is told meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lcageo.config import Backend, DetectConfig, Precision, RunnerConfig
from lcageo.errors import ModelError, UsageError
from lcageo.inference.factory import local_runner, open_predictor, open_runner
from lcageo.runtime.catalog import ModelCard


class Heard:
    """Keeps messages by their kind."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.details: list[str] = []
        self.restricted: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def detail(self, line: str) -> None:
        self.details.append(line)

    def restriction(self, card: ModelCard) -> None:
        self.restricted.append(card.name)


@pytest.fixture
def asked(untrained: Path) -> RunnerConfig:
    return RunnerConfig(str(untrained), "cpu", Backend.TORCH, Precision.FP32)


def test_a_predictor_is_opened_as_requested_and_the_user_is_told(asked: RunnerConfig) -> None:
    heard = Heard()
    predictor = open_predictor(asked, DetectConfig(), heard)
    assert predictor.engine == asked.engine and heard.restricted == ["untrained"]
    assert heard.warnings == ["model 'untrained' is untrained: its boxes are meaningless"]
    assert any("licence of the weights" in line for line in heard.details)


def test_a_batch_is_taken_as_requested_or_from_the_predictor(asked: RunnerConfig) -> None:
    assert local_runner(replace(asked, batch=7), DetectConfig(), Heard()).batch == 7
    usual = local_runner(asked, DetectConfig(), Heard())
    assert usual.batch == usual.predictor.batch


def test_a_memory_limit_shrinks_the_batch(asked: RunnerConfig) -> None:
    with open_runner(replace(asked, batch=2, max_memory=1 << 40), DetectConfig(), heard := Heard()) as runner:
        assert runner.batch == 2 and "2 tiles at a time" in heard.details[-1]
    with pytest.raises(UsageError, match="--max-memory 1M is too little"):
        local_runner(replace(asked, max_memory=1_000_000), DetectConfig(), Heard())


def test_settings_that_cannot_be_are_refused(asked: RunnerConfig) -> None:
    limited = replace(asked, max_memory=1 << 40, cluster="local:1")
    with (
        pytest.raises(UsageError, match="--max-memory is for one process"),
        open_runner(limited, DetectConfig(), Heard()),
    ):
        pass
    with pytest.raises(ModelError, match="no-such-model"):
        open_predictor(replace(asked, model="no-such-model"), DetectConfig(), Heard())
