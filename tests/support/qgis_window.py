"""Drives QGIS's window from inside: presses buttons, waits, takes pictures. `Qgis.window` starts QGIS with a job.

A job is a generator: it does a step and yields what to wait for. A timer resumes it.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from processing.gui.AlgorithmDialog import AlgorithmDialog
from qgis.core import QgsProject
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QAbstractButton, QApplication, QDockWidget, QTextEdit, QWidget
from qgis.utils import iface

Job = Iterator[Callable[[], bool]]
ARGUMENTS, RESULT = "LCAGEO_WINDOW_ARGUMENTS", "LCAGEO_WINDOW_RESULT"
"""Variables with a job's arguments, as JSON, and with the path of the file that it writes."""
PATIENCE_S = 600.0
SIZE = (1280, 800)


def perform(job: Callable[..., Job]) -> None:
    """Runs `job(seen, *arguments)`, writes what it has put into the dictionary `seen`, and ends QGIS."""
    seen: dict[str, Any] = {}
    steps = job(seen, *json.loads(os.environ[ARGUMENTS]))
    timer = QTimer(iface.mainWindow())
    waiting: dict[str, Any] = {"for": lambda: True, "until": 0.0}

    def proceed() -> None:
        timer.stop()
        try:
            if waiting["for"]():
                waiting.update({"for": next(steps), "until": time.monotonic() + PATIENCE_S})
            elif time.monotonic() > waiting["until"]:
                raise TimeoutError("what the job waits for did not happen")
        except StopIteration:
            _end(seen)
        except Exception:
            seen["failed"] = traceback.format_exc()
            picture(Path(os.environ[RESULT]).with_suffix(".png"))
            _end(seen)
        timer.start(100)

    timer.timeout.connect(proceed)
    iface.mainWindow().setGeometry(0, 0, *SIZE)
    timer.start(500)


def _end(seen: dict[str, Any]) -> None:
    Path(os.environ[RESULT]).write_text(json.dumps(seen, default=str))
    os._exit(0)  # without QGIS's questions about what is not saved


def picture(path: Path) -> None:
    """What the screen shows."""
    QApplication.processEvents()
    QApplication.primaryScreen().grabWindow(0).save(str(path))


def press(button: QAbstractButton) -> None:
    """Clicks a button with the mouse."""
    assert button.isVisible() and button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def toolbox() -> QWidget:
    """The dock of the Processing toolbox, shown."""
    dock = iface.mainWindow().findChild(QDockWidget, "ProcessingToolbox")
    dock.show()
    return dock


def open_dialog(title: str) -> Generator[Callable[[], bool], None, AlgorithmDialog]:
    """Types a title into the toolbox's search, chooses what it finds, and opens its dialog, which it returns.

    As a double click does, but not modal: QGIS 3.22 crashes if Python code runs in the dialog's own event loop.
    """
    box = toolbox()
    box.searchBox.setText(title)
    tree = box.algorithmTree
    yield lambda: _found(tree.model(), title) is not None
    tree.setCurrentIndex(_found(tree.model(), title))
    shown = AlgorithmDialog(tree.selectedAlgorithm().create(), False, iface.mainWindow())
    shown.show()
    yield lambda: bool(shown.isVisible())
    return shown


def _found(model: Any, title: str, parent: Any = None) -> Any:
    for row in range(model.rowCount() if parent is None else model.rowCount(parent)):
        index = model.index(row, 0) if parent is None else model.index(row, 0, parent)
        if index.data() == title:
            return index
        deeper = _found(model, title, index)
        if deeper is not None:
            return deeper
    return None


def run(shown: AlgorithmDialog, parameters: dict[str, Any], is_enough: Callable[[], bool] = lambda: False) -> Job:
    """Fills the dialog in and presses Run; presses Cancel once there is enough; waits for the end."""
    if shown.changeParametersButton().isVisible():
        press(shown.changeParametersButton())
    shown.mainWidget().setParameters(parameters)
    press(shown.runButton())
    yield lambda: is_enough() or not shown.cancelButton().isEnabled()
    if shown.cancelButton().isEnabled():
        press(shown.cancelButton())
    yield lambda: bool(shown.changeParametersButton().isVisible())


def log(shown: AlgorithmDialog) -> str:
    """The text of the dialog's log."""
    return str(shown.findChild(QTextEdit, "txtLog").toPlainText())


def close(shown: AlgorithmDialog) -> Job:
    """Closes a dialog, which is deleted then, and waits until the map is drawn."""
    shown.close()
    iface.mapCanvas().refresh()
    yield lambda: not iface.mapCanvas().isDrawing()


def layers() -> dict[str, Any]:
    """Layers of the project by the names of their files; their own depend on the folder that these are in."""
    return {Path(layer.source().split("|")[0]).stem: layer for layer in QgsProject.instance().mapLayers().values()}
