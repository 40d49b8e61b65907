from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.export.export import Description, export_model
from lcageo.runtime.catalog import find_card


@pytest.fixture(scope="module")
def exported(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an exported model with all that describes it."""
    folder = tmp_path_factory.mktemp("exported")
    export_model(find_card(str(untrained)), folder / "model.onnx", list(Description))
    return folder
