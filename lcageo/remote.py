"""Files on servers: what of their addresses may be told and written, and how long a server is waited for.

The query of a signed URL, and a user's name and password, open the file for everybody who reads them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote

from lcageo.paths import on_disk

XYZ = "xyz:"
"""Prefix of a basemap's address with {z}, {x} and {y} in it; see `lcageo.scene.basemap`."""
LIMITS = {
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    # Less than so many bytes a second for so many seconds: a limit for the whole request would fail slow lines.
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "GDAL_HTTP_LOW_SPEED_TIME": "20",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",  # seconds, doubled each time
}
"""GDAL's settings for the network: by default it waits for ever, and asks once."""
FETCHED_BYTES = 128_000_000
"""Size of GDAL's cache of what was fetched, still compressed, for all scenes and threads together.

It holds what the passes over a scene and the columns of its tiles share: several megabytes a row of blocks.
"""
CHUNK_SIZE, CACHE_SIZE = "CPL_VSIL_CURL_CHUNK_SIZE", "CPL_VSIL_CURL_CACHE_SIZE"
"""Names of GDAL's settings: size of the pieces of a file in that cache, and of the cache, bytes."""
FETCHING = {
    # All fetching goes through that cache. By default, the ranges of one read are requested in parallel but past it, so
    # that each thread and each pass fetches them again (GDAL 3.10, VSICurlHandle::ReadMultiRange).
    "GDAL_HTTP_MULTIRANGE": "SERIAL",
    # Least size of a request: some neighbouring blocks, or a header with the first ones. GDAL doubles it while a file
    # is read from front to back. Both sizes are read at the first request of a process.
    CHUNK_SIZE: str(1 << 18),
    CACHE_SIZE: str(FETCHED_BYTES),
}
"""GDAL's settings that decide in how many requests a file is fetched: one waits for each of them."""
SMALL_CACHE = str(16_000_000)
"""GDAL's own size of that cache, for runs whose memory is limited."""
_ADDRESS = re.compile(r"(?P<file>[^\s'\"{}?]*)\?(?P<query>[\w.~%-]+=[^\s'\"{}]*)")
_ODD = str.maketrans({" ": "\ue000", "'": "\ue001"})
"""What an address may have in it, and ends one in a text, and signs that stand for it meanwhile."""
_ODD_AGAIN = str.maketrans({"\ue000": " ", "\ue001": "'"})
_HTTP = re.compile(r"https?:/", re.IGNORECASE)
"""A URL in a Path, which makes one slash of its two."""
ARCHIVE = "/vsi(?:zip|tar|gzip|7z|rar)/"
"""Pattern of GDAL's prefixes of files inside others."""
_ARCHIVES = re.compile(rf"(?:{ARCHIVE}\{{?)+")
_LOCAL = re.compile(r"(?:file|(?:zip|tar|gzip)(?:\+file)?)://|(?:zip|tar|gzip)\+(?=https?://)", re.IGNORECASE)
_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*:/{1,2})[^\s/@'\"{}?]+@", re.IGNORECASE)
_DATABASE = re.compile(r"postgres(ql)?:/", re.IGNORECASE)
_SIGNING = re.compile(
    r"x-(amz|goog|oss|ms)-.*|awsaccesskeyid|googleaccessid|key-pair-id|signature|sig|expires|policy|(access_?)?token|"
    r"api_?key",
    re.IGNORECASE,
)
"""Parameters that say who may read an object, not which."""
_SIGNING_ON_AZURE = {"sv", "ss", "srt", "sp", "st", "se", "sr", "spr", "sip", "sdd", "skoid", "sktid", "skt", "ske",
                     "sks", "skv", "saoid", "suoid", "scid"}  # fmt: skip


def prepare_gdal() -> None:
    """Puts these settings of GDAL's into this process's environment; what the user has set there takes precedence."""
    for name, value in (LIMITS | FETCHING).items():
        os.environ.setdefault(name, value)


def setting_bytes(name: str) -> int:
    """One of GDAL's sizes in this process's environment; 0 if it is not a plain number of bytes."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def save_memory() -> None:
    """Makes GDAL's cache of what was fetched small, as long as nothing has been fetched."""
    if os.environ.get(CACHE_SIZE) == FETCHING[CACHE_SIZE]:
        os.environ[CACHE_SIZE] = SMALL_CACHE


def is_remote(path: str) -> bool:
    """Whether a path is a URL or one of GDAL's own, such as /vsis3/ or <VRTDataset>, and no file has that name."""
    return (path.startswith(("/vsi", "<")) or "://" in path or _HTTP.match(path) is not None) and on_disk(path) is None


def is_on_server(path: str) -> bool:
    """Whether a path is that of a file on a server: not of one in a local archive, such as /vsizip/a.zip/b.tif."""
    if not is_remote(path):
        return False
    if scheme := _LOCAL.match(path):  # rasterio's names of files on a disk
        return is_on_server(path[scheme.end() :])
    inside = _ARCHIVES.match(path)
    return inside is None or is_remote(path[inside.end() :])


def quoted(url: str) -> str:
    """A URL in which spaces and letters beyond ASCII are encoded, as browsers do it; what is encoded stays."""
    return quote(url, safe="%/:?#[]@!$&'()*+,;=~")


def public(path: str) -> str:
    """A path as it may be told and written: a URL without user, password and query; a file's path as it is."""
    if path.startswith(XYZ) and is_remote(path):  # its braces are none of a URL that can be requested
        return _USER.sub(_without_user, path).partition("?")[0]
    return without_secrets(path.translate(_ODD)).translate(_ODD_AGAIN) if is_remote(path) else path


def scene_name(path: str) -> str:
    """The name of a scene's results: its file's without folder and suffix, or the host of a basemap."""
    shown = public(path)
    if shown.startswith(XYZ) and is_remote(path):
        return shown.removeprefix(XYZ).partition("://")[2].partition("/")[0].partition(":")[0] or "basemap"
    return Path(shown).stem


def without_secrets(text: str, addresses: Sequence[str] = ()) -> str:
    """A text without the users, passwords and queries of the URLs in it.

    Args:
        text: one or more lines.
        addresses: URLs whose queries are removed wherever they stand: GDAL quotes the last part of a URL alone.
    """
    for address in addresses:
        for query in _queries(address) if is_remote(address) else ():
            text = text.replace(f"?{query}", "").replace(quoted(f"?{query}"), "")
    return _ADDRESS.sub(_shown, _USER.sub(_without_user, text))


def key(path: str) -> str:
    """A name that stays the same when a URL is signed again, and differs for another object.

    Parameters that may name the object, as in download?id=7, are part of it as a hash.
    """
    if not is_remote(path):
        return str(Path(path).absolute())
    pairs = [pair for query in _queries(path) for pair in parse_qsl(query, keep_blank_values=True)]
    names = {name.lower() for name, _ in pairs}
    signing = _SIGNING_ON_AZURE if "sig" in names else set()
    naming = [pair for pair in pairs if not _SIGNING.fullmatch(pair[0]) and pair[0].lower() not in signing]
    if not naming or _vsicurl_url(path):
        return public(path) if not naming else key(f"/vsicurl/{_vsicurl_url(path)}")
    return f"{public(path)}#{hashlib.sha256(repr(naming).encode()).hexdigest()[:16]}"


def _queries(address: str) -> list[str]:
    return [found["query"].translate(_ODD_AGAIN) for found in _ADDRESS.finditer(address.translate(_ODD))]


def _shown(found: re.Match[str]) -> str:
    """An address without its query; a database's URL, which names a table in it, and other texts as they are."""
    file = found["file"]
    if _DATABASE.match(file) or not (":/" in file or file.startswith("/vsi")):
        return found[0]
    url = _vsicurl_url(found[0])
    return f"/vsicurl/{without_secrets(url)}" if url else file


def _without_user(found: re.Match[str]) -> str:
    return found[0] if _DATABASE.match(found["scheme"]) else found["scheme"]


def _vsicurl_url(path: str) -> str:
    """The URL in GDAL's form /vsicurl?OPTION=VALUE&url=URL; empty for other paths."""
    options = path.removeprefix("/vsicurl?")
    return parse_qs(options).get("url", [""])[0] if options != path else ""
