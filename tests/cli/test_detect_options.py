from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from lcageo.cli.app import app
from lcageo.cli.detect_options import DETECT, ONNX, RUNNER, OptionGroup, with_options
from lcageo.config import DetectConfig, DetectOptions, MergeMetric, RunnerConfig
from lcageo.errors import ConfigError, UsageError
from lcageo.network_config import OnnxConfig

WITHOUT_OPTION = {"review", "about"}  # a file name in `detect`, a flag in `batch`; options of their own


def settings(config: type[DetectConfig] | type[RunnerConfig] | type[OnnxConfig]) -> set[str]:
    return {field.name for field in fields(config)} - WITHOUT_OPTION


@pytest.mark.parametrize("command", ["detect", "batch"])
@pytest.mark.parametrize("group", [DETECT, RUNNER, ONNX])
def test_every_setting_has_an_option_with_the_configuration_s_default(group: OptionGroup, command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    defaults = {parameter.name: parameter.default for parameter in parameters}
    assert settings(group.config) <= set(defaults)
    assert group.build(defaults) == group.config()


@pytest.mark.parametrize("group", [DETECT, RUNNER, ONNX])
def test_every_option_is_named_for_its_setting_and_has_help(group: OptionGroup) -> None:
    assert set(group.options) == settings(group.config)
    parameters = typer.main.get_command(app).commands["detect"].params  # type: ignore[attr-defined]
    for parameter in parameters:
        if parameter.name in group.options:
            assert parameter.opts[0] == f"--{parameter.name.replace('_', '-')}" and parameter.help


def test_python_takes_the_same_settings() -> None:
    assert set(DetectOptions.__annotations__) == settings(DetectConfig)


def commanded(*groups: OptionGroup) -> list[object]:
    """What a command with these groups gets for the options given below."""
    got: list[object] = []

    @with_options(*groups)
    def command(name: str, *, config: DetectConfig, runner: RunnerConfig, quiet: bool = False) -> None:
        got.extend([name, config, runner, quiet])

    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["name", *DETECT.options, *RUNNER.options, "quiet"]
    defaults = {name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty}
    given = {"name": "a", "classes": "ship, dam", "gsd": "0.5", "bands": "4,3,2", "bbox": "0,1,2,3",
             "merge_metric": MergeMetric.IOS, "max_memory": "2G", "batch": 3}  # fmt: skip
    command(**{**defaults, **given})
    return got


def test_a_command_gets_configurations_with_the_values_given() -> None:
    config = DetectConfig(
        classes=("ship", "dam"), gsd=0.5, bands=(4, 3, 2), bbox=(0, 1, 2, 3), merge_metric=MergeMetric.IOS
    )
    assert commanded(DETECT, RUNNER) == ["a", config, RunnerConfig(batch=3, max_memory=2_000_000_000), False]


def test_values_are_parsed_and_checked() -> None:
    defaults = {name: parameter.default for parameter in DETECT.parameters() for name in [parameter.name]}
    with pytest.raises(UsageError, match="--gsd 'fine' is neither"):
        DETECT.build({**defaults, "gsd": "fine"})
    with pytest.raises(ConfigError, match="aoi and bbox cannot be combined"):
        DETECT.build({**defaults, "aoi": Path("a.gpkg"), "bbox": "0,0,1,1"})
