"""MapServer behind a small HTTP server: a real WMS and tiles of a GeoTIFF (Debian package cgi-mapserver)."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
import rasterio
from support.mapserver import answer

MAP_FILE = """
MAP
  EXTENT {west} {south} {east} {north}
  SIZE 256 256
  MAXSIZE 4096
  PROJECTION "init={crs}" END
  IMAGETYPE "png24"
  OUTPUTFORMAT NAME "png24" DRIVER "AGG/PNG" MIMETYPE "image/png" IMAGEMODE RGB EXTENSION "png" END
  WEB METADATA
    "ows_title" "scenes"
    "ows_onlineresource" "{address}?"
    "ows_srs" "{crs} epsg:3857"
    "ows_enable_request" "*"
  END END
  LAYER
    NAME "scene"
    TYPE RASTER
    STATUS ON
    DATA "{scene}"
    PROJECTION "init={crs}" END
    METADATA "ows_title" "scene" END
  END
END
"""


@dataclass(frozen=True)
class MapServer:
    """Addresses of a scene that a server draws, as data sources of QGIS's provider `wms`."""

    address: str
    crs: str

    @property
    def wms(self) -> str:
        return f"crs={self.crs}&dpiMode=7&format=image/png&layers=scene&styles&url={quote(self.address + '?', safe='')}"

    @property
    def tiles(self) -> str:
        query = "mode=tile&tilemode=gmap&layers=scene&tile={x}+{y}+{z}"
        return f"type=xyz&zmin=0&zmax=19&url={quote(f'{self.address}?{query}', safe='{}')}"


@contextmanager
def served(scene: Path, folder: Path) -> Iterator[MapServer]:
    """Serves a scene; skips where there is no MapServer."""
    if shutil.which("mapserv") is None:
        pytest.skip("SKIPPED FOR LACK OF A TOOL: MapServer is not installed (Debian package cgi-mapserver)")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    address = f"http://127.0.0.1:{server.server_port}/"
    with rasterio.open(scene) as dataset:
        crs, bounds = str(dataset.crs), dataset.bounds
    (folder / "scene.map").write_text(
        MAP_FILE.format(
            west=bounds.left, south=bounds.bottom, east=bounds.right, north=bounds.top, crs=crs.lower(), scene=scene,
            address=address,
        )
    )  # fmt: skip
    (folder / "mapserver.conf").write_text("CONFIG\nEND\n")
    server.folder = folder  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield MapServer(address, crs)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        folder: Path = self.server.folder  # type: ignore[attr-defined]
        variables = {
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": self.path.partition("?")[2],
            "MS_MAPFILE": str(folder / "scene.map"),
            "MAPSERVER_CONFIG_FILE": str(folder / "mapserver.conf"),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GDAL", "PROJ"))}
        answer(self, kept | variables)
