"""OpenVINO as a backend."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.backends import IMAGES, LOOSE, OTHERS

from lcageo.config import Backend
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import load_predictor


@pytest.mark.parametrize("backend", OTHERS)
def test_a_tile_gives_the_same_bits_alone_and_in_a_batch_and_from_several_threads(
    card: ModelCard, backend: Backend
) -> None:
    predictor = load_predictor(card, LOOSE, "cpu", backend)
    assert predictor.tile_by_tile
    alone = [predictor.predict(image[None])[0] for image in IMAGES]
    with ThreadPoolExecutor(2) as threads:
        for together in threads.map(predictor.predict, [IMAGES] * 4):
            for one, other in zip(alone, together, strict=True):
                assert (one.boxes_xyxy == other.boxes_xyxy).all() and (one.scores == other.scores).all()


def test_ctrl_c_is_survived_after_two_predictors(card: ModelCard, untrained: Path) -> None:
    load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)  # the graph is exported once
    program = (
        "import faulthandler, gc, os, signal, numpy as np\n"
        "from lcageo.config import DetectConfig\n"
        "from lcageo.runtime.catalog import find_card\n"
        "from lcageo.runtime.predictor import load_predictor\n"
        "def load():\n"
        f"    return load_predictor(find_card({str(untrained)!r}), DetectConfig(), 'cpu', 'openvino')\n"
        "faulthandler.enable()  # Python's handlers run on the current signal stack\n"
        "first = load()\n"
        "second = load()\n"
        "del first; gc.collect()\n"
        "del second; gc.collect()\n"
        "received = []\n"
        "signal.signal(signal.SIGINT, lambda *_: received.append(1))\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "assert received == [1]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
