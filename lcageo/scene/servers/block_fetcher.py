"""Requests what tiles show of a GeoTIFF on a server, before the tiles are read, several requests at a time.

GDAL requests a range when it reads it, so a single reader waits for one answer after the other, and several readers
request the blocks that their tiles share more than once. Here, the bytes of the blocks are read ahead of the tiles, as
they are, into the cache of what GDAL has fetched, which all handles share. What is missing there for any reason, such
as a failed request, is requested by the reader itself, which tells what went wrong.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from xml.sax.saxutils import escape

import rasterio
from rasterio.windows import Window

from lcageo.errors import SceneError
from lcageo.remote import CACHE_SIZE, CHUNK_SIZE, setting_bytes
from lcageo.scene.blocks import level_at
from lcageo.scene.opening import GDAL_ERRORS
from lcageo.scene.raster import Scene
from lcageo.scene.resampling import margin
from lcageo.scene.tiles import Tile, TileGrid

REQUESTS = 8
"""Requests that are under way at a time."""
CHUNKS = range(1 << 10, (10 << 20) + 1)
"""Sizes of its pieces of a file that GDAL accepts; of others, it takes its own."""
_SERVERS = ("/vsicurl", "/vsis3/", "/vsigs/", "/vsiaz/", "/vsiadls/", "/vsioss/", "/vsiswift/")
"""GDAL's file systems that keep what they fetched in one cache."""
_BYTES = """<VRTDataset rasterXSize="{count}" rasterYSize="1"><GeoTransform>0, 1, 0, 1, 0, -1</GeoTransform>
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativetoVRT="0">{file}</SourceFilename>
<ImageOffset>{first}</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>{count}</LineOffset>
</VRTRasterBand></VRTDataset>"""
"""A raster of a file's bytes: rasterio has no other means to read a file with GDAL. Without a transform, it warns."""
_READING_BYTES = {"GDAL_ONE_BIG_READ": "YES", "GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE": "ALL"}
"""GDAL's settings with which such a raster bypasses the cache of blocks, and may show a file on a server."""


class BlockFetcher:
    """Fetches the blocks of tiles that are started in the order in which they will be read."""

    def __init__(self, scene: Scene, grid: TileGrid) -> None:
        """Prepares for the tiles of one pass.

        Args:
            scene: of any kind; only what is in a GeoTIFF on a server is fetched.
            grid: the tiles.
        """
        self._scene, self._file = scene, scene.gdal_path
        self._level = level_at(scene.info, min(grid.scale))
        self._chunk_bytes, cache_bytes = setting_bytes(CHUNK_SIZE), setting_bytes(CACHE_SIZE)
        is_fetched = scene.info.driver == "GTiff" and self._file.startswith(_SERVERS)
        self._fetches = is_fetched and self._chunk_bytes in CHUNKS and self._chunk_bytes <= cache_bytes
        self._kept = OrderedDict[int, Future[None]]()
        """Requests of the chunks that should be in GDAL's cache, which forgets those that were used the longest ago."""
        self._capacity = cache_bytes // max(1, self._chunk_bytes)
        self._pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="lcageo-fetch")

    def __enter__(self) -> BlockFetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drops what was not requested yet; requests that are under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def start(self, tile: Tile) -> Set[Future[None]]:
        """Requests what GDAL's cache lacks of a tile's blocks; when all requests have ended, the tile can be read."""
        if not self._fetches:
            return set()
        left, top, right, bottom = tile.bounds
        around = margin(Window(left, top, right - left, bottom - top), (tile.height, tile.width))
        seen = (left - around, top - around, right + around, bottom + around)
        try:
            ranges = self._scene.byte_ranges(seen, self._level)
        except (SceneError, *GDAL_ERRORS):  # this thread's handle cannot be opened
            self._fetches = False
            return set()
        ends: dict[int, int] = {}
        for first, end in ranges:
            for chunk in range(first // self._chunk_bytes, -(-end // self._chunk_bytes)):
                ends[chunk] = max(ends.get(chunk, 0), min(end, (chunk + 1) * self._chunk_bytes))
        for chunks in _runs(sorted(ends.keys() - self._kept.keys())):
            request = self._pool.submit(self._fetch, chunks[0] * self._chunk_bytes, ends[chunks[-1]])
            self._kept.update(dict.fromkeys(chunks, request))
        requests = {self._kept[chunk] for chunk in ends}
        for chunk in ends:
            self._kept.move_to_end(chunk)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return requests

    def _fetch(self, first: int, end: int) -> None:
        """Reads a range of the file's bytes, which leaves it in GDAL's cache."""
        if not self._fetches:
            return
        raster = _BYTES.format(file=escape(self._file), first=first, count=end - first)
        try:
            with rasterio.Env(**_READING_BYTES), rasterio.open(raster) as dataset:
                dataset.read(1)
        except GDAL_ERRORS:
            self._fetches = False  # the reader will meet the same fault, and tell it


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Divides ascending numbers into runs of consecutive ones."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
