"""A web map service: MapServer's program behind a small CGI server, in a process of its own.

Without MapServer (Debian's cgi-mapserver), tests skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import rasterio

LAYERS = ("photo", "copy")
_MAP = """MAP
  NAME "service"
  SIZE 256 256
  MAXSIZE 4096
  EXTENT {extent}
  IMAGETYPE "png24"
  OUTPUTFORMAT
    NAME "png24"
    DRIVER "AGG/PNG"
    MIMETYPE "image/png"
    IMAGEMODE RGB
  END
  PROJECTION "init=epsg:{epsg}" END
  WEB METADATA
    "wms_title" "service"
    "wms_srs" "EPSG:{epsg}"
    "wms_enable_request" "*"
    "wms_onlineresource" "http://127.0.0.1/wms?"
  END END
  {layers}
END
"""
_LAYER = """LAYER
    NAME "{name}"
    TYPE RASTER
    STATUS ON
    DATA "{data}"
    PROJECTION "init=epsg:{epsg}" END
    METADATA "wms_title" "{name}" END
  END"""
_SETTINGS = 'CONFIG\n  ENV\n    MS_MAP_PATTERN "."\n  END\nEND\n'
_DEFINITION = """<GDAL_WMS>
  <Service name="WMS">
    <Version>1.1.1</Version>
    <ServerUrl>{url}?</ServerUrl>
    <Layers>{layer}</Layers>
    <SRS>EPSG:{epsg}</SRS>
    <ImageFormat>image/png</ImageFormat>
  </Service>
  <DataWindow>
    <UpperLeftX>{left!r}</UpperLeftX><UpperLeftY>{top!r}</UpperLeftY>
    <LowerRightX>{right!r}</LowerRightX><LowerRightY>{bottom!r}</LowerRightY>
    <SizeX>{width}</SizeX><SizeY>{height}</SizeY>
  </DataWindow>
  <Projection>EPSG:{epsg}</Projection>
  <BandsCount>3</BandsCount>
  <BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>
  <OverviewCount>3</OverviewCount>
</GDAL_WMS>
"""


@dataclass(frozen=True)
class MapService:
    """A running service that shows one scene."""

    port: int
    log: Path
    scene: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/wms"

    def definition(self, path: Path) -> Path:
        """Writes GDAL's definition of the service, whose finest pixels are the scene's."""
        with rasterio.open(self.scene) as dataset:
            bounds, epsg = dataset.bounds, dataset.crs.to_epsg()
            size = {"width": dataset.width, "height": dataset.height}
        path.write_text(_DEFINITION.format(url=self.url, layer=LAYERS[0], epsg=epsg, **bounds._asdict(), **size))
        return path

    def maps(self) -> list[tuple[float, ...]]:
        """What has been asked for: left, bottom, right, top and width in pixels of each map."""
        queries = [{k.upper(): v[0] for k, v in parse_qs(line).items()} for line in self.log.read_text().splitlines()]
        return [
            (*map(float, query["BBOX"].split(",")), float(query["WIDTH"]))
            for query in queries
            if query.get("REQUEST") == "GetMap"
        ]


@contextmanager
def map_service(scene: Path) -> Iterator[MapService]:
    """Shows a GeoTIFF of three bands as a web map service with two layers that look the same."""
    if shutil.which("mapserv") is None:
        pytest.skip("SKIPPED FOR LACK OF MAPSERVER: no mapserv; install cgi-mapserver")
    with rasterio.open(scene) as dataset:
        epsg, extent = dataset.crs.to_epsg(), " ".join(map(repr, dataset.bounds))
    layers = "\n  ".join(_LAYER.format(name=name, data=scene, epsg=epsg) for name in LAYERS)
    folder = scene.parent
    (folder / "service.map").write_text(_MAP.format(extent=extent, epsg=epsg, layers=layers))
    (folder / "mapserver.conf").write_text(_SETTINGS)
    log = folder / "service.log"
    log.touch()
    command = [sys.executable, "-u", __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield MapService(int(process.stdout.readline()), log, scene)
        finally:
            process.kill()


def answer(handler: BaseHTTPRequestHandler, environment: dict[str, str]) -> None:
    """Answers a request with a run of MapServer's program, as CGI does (RFC 3875)."""
    said = subprocess.run(["mapserv"], env=environment, stdout=subprocess.PIPE, check=False).stdout
    head, _, body = said.partition(b"\r\n\r\n")
    handler.send_response(200)
    for line in head.decode().splitlines():
        name, _, value = line.partition(":")
        handler.send_header(name, value.strip())
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        query = urlsplit(self.path).query
        with (FOLDER / "service.log").open("a") as log:
            log.write(f"{query}\n")
        request = {"REQUEST_METHOD": "GET", "QUERY_STRING": query, "SCRIPT_NAME": "/wms", "SERVER_NAME": "127.0.0.1"}
        settings = {"MS_MAPFILE": str(FOLDER / "service.map"), "MAPSERVER_CONFIG_FILE": str(FOLDER / "mapserver.conf")}
        port = {"SERVER_PORT": str(self.server.server_port)}  # type: ignore[attr-defined]
        answer(self, {**os.environ, **request, **settings, **port})


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
