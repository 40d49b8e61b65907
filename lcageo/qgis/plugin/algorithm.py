"""What all algorithms share: parameters with help, and a run of the command with its messages in QGIS's log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsReferencedRectangle,
)
from qgis.PyQt.QtGui import QIcon

from .command import INTERRUPTED, PARTLY, CommandError, Ended, command_line, further_options, run
from .environment import lcageo, models
from .layers import vector_path

Values = dict[str, Any]
"""Parameters or outputs by name."""


class LcageoAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that is one run of an lcageo command."""

    NAME = ""
    TITLE = ""
    ABOUT = ""
    """Help, a paragraph or two."""

    def name(self) -> str:
        """As in `qgis_process run lcageo:detect`."""
        return self.NAME

    def displayName(self) -> str:
        """As the toolbox shows it."""
        return self.TITLE

    def shortHelpString(self) -> str:
        """The text beside the parameters."""
        parameters = "".join(
            f"<h3>{one.description()}</h3><p>{one.help()}</p>" for one in self.parameterDefinitions() if one.help()
        )
        return f"<p>{self.ABOUT}</p>{parameters}"

    def icon(self) -> QIcon:
        """The provider's icon."""
        return QIcon(str(Path(__file__).with_name("icon.svg")))

    def createInstance(self) -> LcageoAlgorithm:
        """A new algorithm of the same kind."""
        return type(self)()

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Adds the parameters."""
        for parameter in self.definitions():
            self.addParameter(parameter)

    def canExecute(self) -> tuple[bool, str]:
        """Whether there is a command to run; else why not, which QGIS shows instead of the dialog."""
        try:
            lcageo()
        except CommandError as error:
            return False, str(error)
        return True, ""

    def definitions(self) -> list[QgsProcessingParameterDefinition]:
        """The parameters, in the order of the dialog."""
        raise NotImplementedError

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments; destinations among the parameters are paths."""
        raise NotImplementedError

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The outputs by name, once the command has succeeded; destinations among the parameters are paths."""
        raise NotImplementedError

    def processAlgorithm(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> Values:
        """Runs the command."""
        parameters = {**parameters, **self._destinations(parameters, context)}
        try:
            extra = further_options(self.parameterAsString(parameters, "EXTRA", context))
            command = [lcageo(), *self.arguments(parameters, context, feedback), *extra]
            feedback.pushCommandInfo(command_line(command))
            log = _Log(feedback)
            ended = run([*command, "--progress", "json"], log.show, feedback.isCanceled)
        except CommandError as error:
            raise QgsProcessingException(str(error)) from error
        if ended.code == INTERRUPTED or feedback.isCanceled():
            feedback.pushInfo("Stopped. What is done is kept: run it again with the same files to continue.")
            return {}
        if ended.code == PARTLY:
            feedback.reportError(log.error)
        elif ended.code:
            raise QgsProcessingException(log.error or f"lcageo ended with exit code {ended.code}")
        outputs = self.outputs(parameters, context, ended)
        for value in outputs.values():
            if context.willLoadLayerOnCompletion(str(value)):
                _KEPT.append(_SavedStyle())
                context.layerToLoadOnCompletionDetails(str(value)).setPostProcessor(_KEPT[-1])
        return outputs

    def _destinations(self, parameters: Values, context: QgsProcessingContext) -> dict[str, str]:
        """Paths to write to, by name; empty for what is not asked for.

        To be called once per run: QGIS makes a new path for a temporary output each time that it is asked for one.
        """
        paths = {}
        for one in self.destinationParameterDefinitions():
            is_layer = isinstance(one, QgsProcessingParameterVectorDestination)
            path_of = self.parameterAsOutputLayer if is_layer else self.parameterAsFileOutput
            paths[one.name()] = path_of(parameters, one.name(), context)
        return paths

    def optional_text(self, option: str, parameters: Values, name: str, context: QgsProcessingContext) -> list[str]:
        """An option with a parameter's value; nothing if it is empty."""
        value = self.parameterAsString(parameters, name, context).strip()
        return [option, value] if value else []

    def optional_number(self, option: str, parameters: Values, name: str, context: QgsProcessingContext) -> list[str]:
        """An option with a number; nothing if none is set and it has no default."""
        if parameters.get(name) is None and self.parameterDefinition(name).defaultValue() is None:
            return []
        return [option, f"{self.parameterAsDouble(parameters, name, context):.12g}"]

    def optional_layer(
        self,
        option: str,
        parameters: Values,
        name: str,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> list[str]:
        """An option with a file of a vector layer; nothing if none is chosen."""
        if not parameters.get(name):
            return []
        return [option, self.layer_path(parameters, name, context, feedback)]

    def layer_path(
        self, parameters: Values, name: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> str:
        """Path of a file of a vector layer."""
        layer = self.parameterAsVectorLayer(parameters, name, context)
        if layer is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, name))
        return vector_path(layer, context, feedback)

    def model_arguments(
        self, option: str, parameters: Values, context: QgsProcessingContext, required: bool = False
    ) -> list[str]:
        """The option with the chosen model; a folder goes before a name."""
        folder = self.parameterAsFile(parameters, "MODEL_FOLDER", context)
        chosen = folder or self.parameterAsEnumString(parameters, "MODEL", context)
        if required and not chosen:
            raise QgsProcessingException("Choose the model to start from, or the folder of one.")
        return [option, chosen] if chosen else []

    def extent(self, parameters: Values, context: QgsProcessingContext) -> QgsReferencedRectangle | None:
        """The chosen extent in its own CRS; None if none is chosen."""
        rectangle = self.parameterAsExtent(parameters, "EXTENT", context)
        if rectangle.isNull():
            return None
        return QgsReferencedRectangle(rectangle, self.parameterAsExtentCrs(parameters, "EXTENT", context))


class _SavedStyle(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer the style and the form that were written with it: Processing itself opens layers without."""

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Called by QGIS in its main thread, once the layer is in the project."""
        layer.loadDefaultStyle()
        layer.triggerRepaint()


_KEPT: list[_SavedStyle] = []
"""One for each layer, which QGIS deletes in C++ when it is done: Python must not do so before."""


class _Log:
    """Shows the events of a run in QGIS's log and progress bar."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self._phase = ""
        self.error = ""

    def show(self, event: Values) -> None:
        """Shows one event, see examples/qgis.md."""
        kind, text = event["event"], str(event.get("text", ""))
        if kind == "progress":
            self._show_progress(event)
        elif kind == "warning":
            self._feedback.pushWarning(text)
        elif kind == "error":
            self.error = text
        else:
            self._feedback.pushInfo(text.replace("  ", "\u00a0\u00a0"))  # HTML would close the columns of tables up

    def _show_progress(self, event: Values) -> None:
        self._feedback.setProgress(100 * event["done"] / max(event["total"], 1e-9))
        left = "" if event["seconds_left"] is None else f", {_duration(event['seconds_left'])} left"
        found = "" if event["found"] is None else f", {event['found']:,} found"
        if event["phase"] == "training":
            self._feedback.setProgressText(f"training: {event['text']}")
        else:
            self._feedback.setProgressText(f"{event['phase']}: {event['done']:,} of {event['total']:,}{found}{left}")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def documented(parameter: Any, text: str, advanced: bool = False) -> Any:
    """The parameter with its help, in the advanced part of the dialog if so."""
    parameter.setHelp(text)
    if advanced:
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return parameter


def number(name: str, title: str, text: str, low: float = 0.0, high: float = 1e9, advanced: bool = False) -> Any:
    """A number that may be left open."""
    parameter = QgsProcessingParameterNumber(
        name, title, QgsProcessingParameterNumber.Type.Double, None, True, low, high
    )  # no default, optional
    return documented(parameter, text, advanced)


def whole(name: str, title: str, text: str, default: int, advanced: bool = False) -> Any:
    """A positive integer."""
    kind = QgsProcessingParameterNumber.Type.Integer
    return documented(QgsProcessingParameterNumber(name, title, kind, default, False, 1), text, advanced)


def text(name: str, title: str, help_text: str, advanced: bool = False) -> Any:
    """A text that may be left empty."""
    return documented(QgsProcessingParameterString(name, title, optional=True), help_text, advanced)


def tick(name: str, title: str, help_text: str, default: bool = False) -> Any:
    """A tick."""
    return documented(QgsProcessingParameterBoolean(name, title, default), help_text)


def folder(name: str, title: str, help_text: str, optional: bool = False, advanced: bool = False) -> Any:
    """A folder that exists."""
    parameter = QgsProcessingParameterFile(name, title, QgsProcessingParameterFile.Behavior.Folder, optional=optional)
    return documented(parameter, help_text, advanced)


def model(default_text: str) -> list[Any]:
    """The choice of a model, by name or by folder."""
    names = QgsProcessingParameterEnum("MODEL", "Model", models(), optional=True, usesStaticStrings=True)
    return [
        documented(names, f"One of the models that come with lcageo. {default_text}"),
        folder(
            "MODEL_FOLDER",
            "Own model",
            "Folder of a model that Fine-tune has made. It goes before the model above.",
            optional=True,
        ),
    ]


def extra() -> Any:
    """Any further options."""
    return text(
        "EXTRA",
        "Further options",
        "Options of the command that have no field here, as in a terminal: --device cuda --max-memory 4G",
        advanced=True,
    )
