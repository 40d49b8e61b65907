from __future__ import annotations

from typing import Any

KINDS = {
    "detect": {"INPUT": "raster", "MODEL": "enum", "EXTENT": "extent", "AOI": "vector", "OUTPUT": "vectorDestination"},
    "detectfolder": {"INPUT": "file", "MODEL": "enum", "OUTPUT": "folderDestination"},
    "filter": {"INPUT": "vector", "CRS": "crs", "OUTPUT": "vectorDestination"},
    "chips": {"INPUT": "multilayer", "LABELS": "vector", "REVIEW": "vector", "CLASS_FIELD": "field"},
    "finetune": {"INPUT": "file", "MODEL": "enum", "MINUTES": "number", "OUTPUT": "folderDestination"},
    "report": {"INPUT": "raster", "LAYER": "vector", "OUTPUT": "fileDestination"},
    "surveyreport": {"INPUT": "file", "OUTPUT": "folderDestination"},
    "compare": {"INPUT": "vector", "TRUTH": "vector", "OUTPUT": "vectorDestination"},
}


def test_the_toolbox_has_all_algorithms_with_parameters_of_qgis_and_help(seen: dict[str, Any]) -> None:
    assert seen["algorithms"].keys() == KINDS.keys()
    for name, about in seen["algorithms"].items():
        assert about["kinds"].items() >= KINDS[name].items() and "EXTRA" in about["kinds"], name
        assert about["without help"] == [] and len(about["help"]) > 200, name
