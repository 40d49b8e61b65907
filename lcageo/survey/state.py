"""What a survey's folder stores about every scene: where its results are, what they were made from, how that ended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from lcageo.appearance import is_unfamiliar
from lcageo.calibration import Expected
from lcageo.database import Database, delete_database
from lcageo.errors import DamagedError
from lcageo.remote import key, public
from lcageo.survey.scenes import SurveyScene

LONGEST_NAME = 200
"""Bytes of a scene's name that its results keep: file systems allow 255, and suffixes and SQLite's files need some."""
STATE_FILE = ".lcageo-survey"
_TABLES = """
CREATE TABLE IF NOT EXISTS scenes (
    scene TEXT PRIMARY KEY, place TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, identity TEXT, record TEXT
);
CREATE TABLE IF NOT EXISTS joined (scenes TEXT);
CREATE TABLE IF NOT EXISTS made (path TEXT PRIMARY KEY);
"""


class State(StrEnum):
    """State of a scene in a survey."""

    DONE = "done"
    HOLES = "holes"
    """Done, except for parts that could not be read."""
    FAILED = "failed"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """The result of a scene of a survey; JSON-ready."""

    scene: str
    state: State = State.WAITING
    seconds: float = 0.0
    tiles: Mapping[str, int] = field(default_factory=dict)
    per_class: Mapping[str, int] = field(default_factory=dict)
    """Number of objects found, of each class."""
    outputs: Sequence[str] = ()
    """Paths within the survey's folder, the layer first."""
    warnings: Sequence[str] = ()
    error: str | None = None
    """Why it failed, or what could not be read."""
    files: Sequence[str] = ()
    """All files of the scene: the raster, masks, overviews and so on."""
    crs: str | None = None
    """WKT; None where the scene has no CRS."""
    gsd_m: float | None = None
    corners: Sequence[Sequence[float]] = ()
    """Map x and y of the raster's four corners."""
    size: Sequence[int] = ()
    """Width and height, pixels."""
    candidates: int = 0
    """Number of other objects in the layer, which score less than their class's threshold."""
    hints: Sequence[str] = ()
    """Why few objects may have been found, and which option finds more."""
    distance_from_training: float | None = None
    """How unlike the model's training images the scene looks; 95 % of them have less than 1."""

    @property
    def is_gone(self) -> bool:
        """Whether it failed because files of it do not exist, and the layers of an earlier run were left."""
        return self.state is State.FAILED and bool(self.outputs)

    @property
    def is_unfamiliar(self) -> bool:
        """Whether it looks less like the model's training images than nearly all of these do."""
        return is_unfamiliar(self.distance_from_training)

    @property
    def objects(self) -> int:
        """Number of objects found, of all classes."""
        return sum(self.per_class.values())


@dataclass(frozen=True, slots=True)
class Joined:
    """What the joint layer and the summary were last made from, and hold."""

    scenes: str = ""
    """Hash of the scenes; empty if they never were."""
    unique: dict[str, int] | None = None
    """Number of objects found, of each class, that several scenes show only once; None without a joint layer."""
    probably_right: dict[str, Expected] = field(default_factory=dict)
    """How many of these are probably right, of each class that the model's scores are calibrated for; those in scenes
    unlike the model's training images do not count."""


class SurveyState:
    """The state file of a survey's folder. One process at a time works with it."""

    def __init__(self, folder: Path) -> None:
        """Opens or creates the state file of an existing folder.

        Raises:
            UsageError: if another process works with it.
            OutputError: if it cannot be read or written.
        """
        self._path = folder / STATE_FILE
        try:
            self._database = self._opened()
        except DamagedError:
            delete_database(self._path)  # a run makes its content again
            self._database = self._opened()

    def _opened(self) -> Database:
        database = Database("survey", self._path)
        try:
            database.script(_TABLES)
            self._records(database)
        except BaseException:
            database.close()
            raise
        return database

    def _records(self, database: Database) -> dict[str, tuple[str, SceneRecord]]:
        rows = database.rows("SELECT scene, identity, record FROM scenes WHERE record IS NOT NULL")
        try:
            return {scene: (str(identity), _record(record)) for scene, identity, record in rows}
        except (ValueError, TypeError, LookupError) as error:
            raise DamagedError(f"survey '{self._path}' is damaged ({error})") from error

    def close(self) -> None:
        """Lets other processes work with the folder."""
        self._database.close()

    def places(self, scenes: Sequence[SurveyScene]) -> dict[str, PurePosixPath]:
        """Location of each scene's results, by the scene's path: as before, or, for a new scene, a free one."""
        known = self._places()
        taken = {place.casefold() for place in known.values()}  # some file systems ignore case
        for scene in scenes:
            if _key(scene.path) not in known:
                place = next(place for place in map(_text, _candidates(scene)) if place.casefold() not in taken)
                known[_key(scene.path)] = place
                taken.add(place.casefold())
        return {scene.path: PurePosixPath(known[_key(scene.path)]) for scene in scenes}

    def keep_places(self, places: Mapping[str, PurePosixPath]) -> None:
        """Stores the locations of results."""
        rows = [(_key(path), str(place), str(place).casefold()) for path, place in places.items()]
        self._database.change("INSERT OR IGNORE INTO scenes (scene, place, folded) VALUES (?, ?, ?)", rows)

    def _places(self) -> dict[str, str]:
        return dict(self._database.rows("SELECT scene, place FROM scenes"))

    def records(self, scenes: Sequence[SurveyScene]) -> dict[str, tuple[str, SceneRecord]]:
        """Identity and record of the scenes that were run, by path."""
        known = self._records(self._database)
        found = {scene.path: known[_key(scene.path)] for scene in scenes if _key(scene.path) in known}
        return {path: (identity, replace(record, scene=public(path))) for path, (identity, record) in found.items()}

    def made(self) -> set[str]:
        """The files that the survey's runs have made or started to make: paths within the folder."""
        return {path for (path,) in self._database.rows("SELECT path FROM made")}

    def keep_made(self, paths: Iterable[str]) -> None:
        """Records that files belong to this survey, before they are written."""
        self._database.change("INSERT OR IGNORE INTO made VALUES (?)", [(_text(path),) for path in paths])

    def keep(self, path: str, identity: str, record: SceneRecord) -> None:
        """Stores the result of the scene at a path, and the identity of what it was made from."""
        statement = "UPDATE scenes SET identity = ?, record = ? WHERE scene = ?"
        self._database.change(statement, [(identity, json.dumps(asdict(record)), _key(path))])

    def joined(self) -> Joined:
        """The last joint layer and summary."""
        for (text,) in self._database.rows("SELECT scenes FROM joined"):
            try:
                content: dict[str, Any] = json.loads(text)
                right = {name: Expected(**one) for name, one in content.pop("probably_right").items()}
                return Joined(**content, probably_right=right)
            except (ValueError, TypeError, LookupError, AttributeError):
                break  # of an earlier version
        return Joined()

    def keep_joined(self, joined: Joined) -> None:
        """Stores what they were made from, and what they hold."""
        self._database.change("DELETE FROM joined", [()])
        self._database.change("INSERT INTO joined VALUES (?)", [(json.dumps(asdict(joined)),)])


def _record(text: str) -> SceneRecord:
    content: dict[str, Any] = json.loads(text)
    return SceneRecord(**{**content, "state": State(content["state"])})


def _text(path: object) -> str:
    """A path as text for SQLite: file names need not be valid UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _key(path: str) -> str:
    """The key of a scene, independent of the working folder."""
    return _text(key(path))


def _candidates(scene: SurveyScene) -> Iterable[PurePosixPath]:
    """Names to try: x for x.tif, x.jp2 for an x.jp2 beside it, then x-2, x-3 and so on."""
    name = scene.place.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = os.fsencode(name)[:LONGEST_NAME].decode("utf-8", "ignore")
    yield scene.place.with_name(name)
    yield scene.place.with_name(f"{name}{Path(public(scene.path)).suffix}")
    yield from (scene.place.with_name(f"{name}-{number}") for number in count(2))
