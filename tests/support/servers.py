"""A file server in a process of its own that answers some requests and then fails in one way, as servers do.

In this process it could not answer while GDAL opens a file, which holds Python's lock.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

FAULTS = ("stall", "unavailable", "drop", "refuse")
"""It keeps the connection and sends nothing; answers 503; breaks off in the middle of an answer; answers 403."""
FOREVER = 10**9


@dataclass(frozen=True)
class FileServer:
    """A running server of a folder."""

    port: int
    log: Path

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def requests(self) -> list[str]:
        """Path and query of every request for content."""
        return [line.split()[0] for line in self.log.read_text().splitlines()]

    def ranges(self) -> list[tuple[str, int, int]]:
        """Path, first byte and the one after the last of every request for content."""
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return [(urlsplit(path).path, int(first), int(end)) for path, first, end in rows]

    def heads(self) -> list[str]:
        """Path of every request for a header alone."""
        return self.log.with_suffix(".heads").read_text().split()

    def waited_s(self) -> float:
        """Time in which any answer was being delayed; those that are delayed at the same time count once."""
        spans = [line.split() for line in self.log.with_suffix(".times").read_text().splitlines()]
        waited = until = 0.0
        for first, last in sorted((float(first), float(last)) for first, last in spans):
            waited += max(0.0, last - max(first, until))
            until = max(until, last)
        return waited


@contextmanager
def served(
    folder: Path, fault: str = "stall", good: int = FOREVER, until: int = FOREVER, port: int = 0, delay_s: float = 0.0
) -> Iterator[FileServer]:
    """Serves a folder; requests for content fail after the first `good` ones, up to number `until`.

    Each answer comes `delay_s` late.
    """
    log = folder / f"requests-{time.monotonic_ns()}.log"
    log.touch()
    for kind in (".heads", ".times"):
        log.with_suffix(kind).touch()
    command = [sys.executable, "-u", __file__, folder, log, fault, good, until, port, delay_s]
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield FileServer(int(process.stdout.readline()), log)
        finally:
            process.kill()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._delay()
        _append(LOG.with_suffix(".heads"), urlsplit(self.path).path)
        file = self._file()
        if file is not None:
            self._head(403 if FAULT == "refuse" and GOOD == 0 else 200, file.stat().st_size)

    def do_GET(self) -> None:
        self._delay()
        file = self._file()
        if file is None:
            return
        size = file.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        end = min(int(asked[2]) + 1 if asked and asked[2] else size, size)
        number = _append(LOG, f"{self.path} {first} {end}")
        fault = FAULT if GOOD < number <= UNTIL else ""
        if fault == "stall":
            time.sleep(600)
        elif fault in ("unavailable", "refuse"):
            self._head(503 if fault == "unavailable" else 403, 0)
        else:
            self._head(206 if asked else 200, end - first, f"bytes {first}-{end - 1}/{size}" if asked else None)
            with file.open("rb") as content:
                content.seek(first)
                self.wfile.write(content.read((end - first) // 3 if fault == "drop" else end - first))
            self.close_connection = fault == "drop"

    def _delay(self) -> None:
        started = time.monotonic()
        time.sleep(DELAY_S)
        _append(LOG.with_suffix(".times"), f"{started:.6f} {time.monotonic():.6f}")

    def _file(self) -> Path | None:
        file = FOLDER / urlsplit(self.path).path.lstrip("/")
        if file.is_file():
            return file
        self._head(404, 0)
        return None

    def _head(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.end_headers()


def _append(log: Path, line: str) -> int:
    """Adds a line to a log, and returns how many it has now."""
    with APPENDING, log.open("a") as lines:
        lines.write(f"{line}\n")
        COUNTS[log] = COUNTS.get(log, 0) + 1
        return COUNTS[log]


if __name__ == "__main__":
    APPENDING, COUNTS = threading.Lock(), dict[Path, int]()
    FOLDER, LOG, FAULT = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    GOOD, UNTIL, PORT = map(int, sys.argv[4:7])
    DELAY_S = float(sys.argv[7])
    server = ThreadingHTTPServer(("127.0.0.1", PORT), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
