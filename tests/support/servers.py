"""A file server in a process of its own that answers some requests and then fails in one way, as servers do.

In this process it could not answer while GDAL opens a file, which holds Python's lock.
"""

from __future__ import annotations

import re
import subprocess
import sys
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
        return self.log.read_text().split()


@contextmanager
def served(
    folder: Path, fault: str = "stall", good: int = FOREVER, until: int = FOREVER, port: int = 0
) -> Iterator[FileServer]:
    """Serves a folder; requests for content fail after the first `good` ones, up to number `until`."""
    log = folder / f"requests-{time.monotonic_ns()}.log"
    log.touch()
    command = [sys.executable, "-u", __file__, folder, log, fault, good, until, port]
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
        content = self._content()
        if content is not None:
            self._head(403 if FAULT == "refuse" and GOOD == 0 else 200, len(content))

    def do_GET(self) -> None:
        content = self._content()
        if content is None:
            return
        with LOG.open("a") as log:
            log.write(f"{self.path}\n")
        number = len(LOG.read_text().split())
        fault = FAULT if GOOD < number <= UNTIL else ""
        if fault == "stall":
            time.sleep(600)
        elif fault in ("unavailable", "refuse"):
            self._head(503 if fault == "unavailable" else 403, 0)
        else:
            self._send(content, cut=fault == "drop")

    def _content(self) -> bytes | None:
        file = FOLDER / urlsplit(self.path).path.lstrip("/")
        if file.is_file():
            return file.read_bytes()
        self._head(404, 0)
        return None

    def _send(self, content: bytes, cut: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]) if asked and asked[2] else len(content) - 1, len(content) - 1)
        part = content[first : last + 1]
        self._head(206 if asked else 200, len(part), f"bytes {first}-{last}/{len(content)}" if asked else None)
        self.wfile.write(part[: len(part) // 3] if cut else part)
        self.close_connection = cut

    def _head(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.end_headers()


if __name__ == "__main__":
    FOLDER, LOG, FAULT = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    GOOD, UNTIL, PORT = map(int, sys.argv[4:])
    server = ThreadingHTTPServer(("127.0.0.1", PORT), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
