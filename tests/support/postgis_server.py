"""A real PostgreSQL server with PostGIS, in a temporary folder and on its own port, and psql to query it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

PASSWORD = "s3cr:t/w@rd"
USER = "analyst"


@dataclass(frozen=True)
class Server:
    """Connection parameters of a server."""

    folder: Path
    port: int

    def url(self, table: str | None = None, password: str | None = PASSWORD, database: str = "gis") -> str:
        secret = "" if password is None else f":{quote(password, safe='')}"
        address = f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"
        return address if table is None else f"{address}?table={table}"

    def rows(self, query: str, database: str = "gis") -> list[list[str]]:
        """Runs a query in psql and returns its output."""
        command = ["psql", "-X", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", query, self.url(database=database)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]


@contextmanager
def running_server() -> Iterator[Server]:
    """Starts a server, and stops it at the end; skips the test if PostGIS is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    extensions = sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control"))
    if not found or not extensions or shutil.which("psql") is None:
        pytest.skip("SKIPPED FOR LACK OF A TOOL: PostGIS is not installed (Debian package postgresql-postgis)")
    programs, folder = found[-1].parent, Path(tempfile.mkdtemp(prefix="lcageo-pg-"))
    # PostgreSQL refuses to run as root.
    as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_owner:
        shutil.chown(folder, "postgres")
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: object) -> None:
        command = [*as_owner, programs / program, *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr

    run("initdb", "-D", folder / "data", "-U", USER, "--pwfile", folder / "password", "-A", "scram-sha-256",
        "-E", "UTF8", "--locale", "C", "--no-sync")  # fmt: skip
    server = Server(folder, port)
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-o", settings, "-w", "start")
        server.rows("CREATE DATABASE gis", database="postgres")
        server.rows("CREATE DATABASE plain", database="postgres")
        server.rows("CREATE EXTENSION postgis")
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run("pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)
