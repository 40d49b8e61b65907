"""The options of `lcageo train` say the defaults that the configuration class has."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import get_type_hints

from lcageo.cli import train_options
from lcageo.cli.train import train
from lcageo.training.config import TrainConfig


def test_every_setting_has_an_option_whose_help_names_its_default() -> None:
    hints = get_type_hints(train, include_extras=True)
    parameters = set(inspect.signature(train).parameters)
    settings = {entry.name for entry in fields(TrainConfig)}
    assert settings - {"compile"} <= parameters  # --compile is called compile_, which is no keyword of Python
    for name in ("epochs", "batch", "mosaic", "warmup", "clip"):
        (option,) = hints[name].__metadata__
        assert option.help.endswith(f"Default: {getattr(train_options.DEFAULTS, name)}.")


def test_every_option_is_in_a_group() -> None:
    for name, hint in get_type_hints(train, include_extras=True).items():
        if metadata := getattr(hint, "__metadata__", ()):
            assert metadata[0].rich_help_panel, name
