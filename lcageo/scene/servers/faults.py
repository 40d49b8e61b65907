"""Faults of servers and connections: noticed in what GDAL logs, told as what they are, and tried again."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from http import HTTPStatus
from typing import TypeVar

from lcageo.errors import SceneError, ServerError

Result = TypeVar("Result")

PAUSES_S = (1.0, 4.0)
"""Pauses before the second and the third attempt. GDAL itself only repeats what was answered with an error."""
ENOUGH_S = 30.0
"""An attempt that has taken so long is not repeated: a server that is silent was waited for several times."""
OPENING_S = 120.0
"""Time in which a server must have delivered what opens a scene: GDAL may wait for each of forty files beside it."""
_STATUS = re.compile(r"response_code=(\d+)|HTTP (?:error|response|status) code: (\d+)")
_SILENCE = re.compile(r"Cannot read \d+ bytes|CURL error", re.IGNORECASE)
"""GDAL's messages when a server stops answering while a small file is opened, and when there is none."""
_MISSING = re.compile(r"got \d+ bytes, expected \d+")
"""What GDAL's TIFF driver says of a request that failed, and of a file that ends too early.

GDAL tells why only where it requests several ranges at a time (GDAL 3.10).
"""
ASKING_AGAIN = {"GDAL_HTTP_MULTIRANGE": "PARALLEL"}
"""GDAL's settings for further attempts: it requests several ranges at a time, and tells why that failed."""
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_ABSENT = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class _Answers(logging.Handler):
    """Keeps the status of the last failed request of each thread: GDAL's errors do not tell why bytes are missing."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._status = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Reads the status in a message of GDAL's, which rasterio logs in the thread of the request."""
        if found := _STATUS.search(record.getMessage()):
            self._status.last = int(found[1] or found[2])

    def clear(self) -> None:
        """Forgets what this thread was answered."""
        self._status.last = None

    def last(self, error: BaseException, remote: bool) -> int | None:
        """Status of this thread's last failed request; None: none failed.

        Args:
            error: GDAL's, whose message may have the status as well.
            remote: whether a server could have failed; otherwise, a file of which bytes are missing is damaged.
        """
        told_by_gdal = "\n".join(_messages(error))
        if found := _STATUS.search(told_by_gdal):
            return int(found[1] or found[2])
        last: int | None = getattr(self._status, "last", None)
        silent = _SILENCE.search(told_by_gdal) or (remote and _MISSING.search(told_by_gdal))
        return 0 if not last and silent else last


def _messages(error: BaseException | None) -> Iterator[str]:
    """What GDAL said, last things first."""
    while error is not None:
        yield str(error)
        error = error.__cause__


ANSWERS = _Answers()


def listen() -> None:
    """Starts to note the answers of servers."""
    logging.getLogger("rasterio").addHandler(ANSWERS)


def told(status: int) -> str:
    """What went wrong, from an HTTP status; 0: no answer; one of success: an answer that broke off."""
    if status == 0:
        return "the server does not answer in time or cannot be reached"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return "the server redirects without end"
    if status < HTTPStatus.BAD_REQUEST:
        return "the connection broke off"
    phrase = ""
    with suppress(ValueError):
        phrase = f" {HTTPStatus(status).phrase}"
    return f"the server answers {status}{phrase}"


def remedy(status: int) -> str:
    """What a user can do about it."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "check the credentials; a signed URL may have expired"
    if status in _ABSENT:
        return "check the URL"
    return "check the network and the server"


def retried(attempt: Callable[[Mapping[str, str]], Result]) -> Result:
    """The result of an attempt, which is repeated after growing pauses if a server fails for the moment.

    Args:
        attempt: called with settings of GDAL's.
    """
    started = time.monotonic()
    for number, pause in enumerate(PAUSES_S):
        try:
            return attempt(ASKING_AGAIN if number else {})
        except ServerError as error:
            refused = HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            if (refused and error.status not in _PASSING) or time.monotonic() - started > ENOUGH_S:
                raise
        time.sleep(pause)
    return attempt(ASKING_AGAIN)


def in_time(work: Callable[[], Result], what: str) -> Result:
    """The result of opening something with GDAL, which nothing can interrupt; after OPENING_S it is left to itself.

    Args:
        work: runs in a thread of its own.
        what: is opened, as the error says.

    Raises:
        ServerError: if the time is over.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # raised again by the one who waits
            done.set_exception(error)

    threading.Thread(target=run, name="lcageo-open", daemon=True).start()  # a pool's threads would keep the process
    if not wait([done], OPENING_S).done:
        raise ServerError(f"{what} cannot be opened: {told(0)}; {remedy(0)}", 0)
    return done.result()


def is_outage(error: SceneError) -> bool:
    """Whether the rest of a scene will probably fail as well; not where one file of a mosaic is missing."""
    return isinstance(error, ServerError) and error.status not in _ABSENT
