from __future__ import annotations

import os
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.remote import (
    FETCHING,
    LIMITS,
    is_on_server,
    key,
    prepare_gdal,
    public,
    save_memory,
    setting_bytes,
    without_secrets,
)

SECRET = "S3cr3t"
SIGNED = {
    f"https://host/a/b.tif?sig={SECRET}": "https://host/a/b.tif",
    f"https://me:{SECRET}@host:8080/b.tif": "https://host:8080/b.tif",
    f"/vsicurl/https://host/b.tif?X-Amz-Date=1&X-Amz-Signature={SECRET}": "/vsicurl/https://host/b.tif",
    f"/vsizip/{{/vsicurl/https://host/b.zip?token={SECRET}}}/in.tif": "/vsizip/{/vsicurl/https://host/b.zip}/in.tif",
    f"/vsicurl?max_retry=2&url={quote(f'https://host/b.tif?sig={SECRET}', safe='')}": "/vsicurl/https://host/b.tif",
    f"/vsicurl?header.Authorization=Bearer%20{SECRET}&url=https%3A%2F%2Fhost%2Fb.tif": "/vsicurl/https://host/b.tif",
    f'NETCDF:"https://host/b.nc?sig={SECRET}":red': 'NETCDF:"https://host/b.nc":red',
    f"https://host/b.tif?sv=2022&sp=r&sig={SECRET}%2F%3D": "https://host/b.tif",
    f"https://host/a b/my scene.tif?sig={SECRET}": "https://host/a b/my scene.tif",
    f"https://host/o'brien.tif?a=1&sig={SECRET}": "https://host/o'brien.tif",
    f"/vsicurl/https://host/b.tif?name=a b&sig={SECRET}": "/vsicurl/https://host/b.tif",
}


@pytest.mark.parametrize("address", SIGNED)
def test_an_address_is_told_without_what_opens_it(address: str) -> None:
    assert public(address) == SIGNED[address]
    told = without_secrets(f"'{address}': no answer from {address}, twice", [address])
    assert SECRET not in told and "no answer from" in told and "twice" in told


def test_the_last_part_of_an_address_is_told_without_its_query() -> None:
    address = f"https://host/b.tif?sig={SECRET}"
    assert without_secrets(f"b.tif?sig={SECRET}, band 1: no", [address]) == "b.tif, band 1: no"


@pytest.mark.parametrize("path", ["scene.tif", "a?b=c.tif", "/data/me:you@here/a.tif", "C:\\a.tif", "/vsizip/a.zip/b"])
def test_files_on_a_disk_keep_their_names(path: str) -> None:
    assert public(path) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/a.tif", False),
        ("/vsizip//data/a.zip/b.tif", False),
        ("file:///data/a.tif", False),
        ("zip:///data/a.zip!b.tif", False),
        ("zip+file:///data/a.zip!b.tif", False),
        ("zip+https://host/a.zip!b.tif", True),
        ("https://host/a.tif", True),
        ("/vsizip/a.zip/b.tif", False),
        ("/vsitar/{/vsigzip//data/a.tar.gz}/b.tif", False),
        ("/vsizip/{/vsicurl/https://host/a.zip}/b.tif", True),
        ("/vsizip//vsis3/bucket/a.zip/b.tif", True),
        ("/vsis3/bucket/a.tif", True),
        ("https://host/a.tif", True),
        ("<GDAL_WMS>", True),
    ],
)
def test_files_in_local_archives_are_on_no_server(path: str, expected: bool) -> None:
    assert is_on_server(path) is expected


@pytest.mark.parametrize("text", ["postgresql://me@host/db?table=a", "use a.gpkg?", "really? yes=1"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_secrets(text) == text


@given(st.text("abc/?&=%:@'\" .{}", max_size=40))
def test_nothing_is_left_to_remove_the_second_time(text: str) -> None:
    once = without_secrets(f"https://host/{text}")
    assert without_secrets(once) == once


def test_signing_again_keeps_the_key_and_another_object_changes_it() -> None:
    assert key("https://h/a.tif?sig=1&sv=2") == key("https://h/a.tif?sv=3&sig=4") == "https://h/a.tif"
    first = "https://h/a.tif?X-Amz-Credential=a&X-Amz-Expires=9&X-Amz-Signature=1"
    assert key(first) == key(first.replace("Signature=1", "Signature=2")) != key(first.replace("a.tif", "b.tif"))
    ids = {key(f"https://h/download?id={number}&token={SECRET}") for number in range(3)}
    assert len(ids) == 3 and SECRET not in "".join(ids)
    assert key("https://h/download?id=7&token=a") == key("https://h/download?token=b&id=7")
    assert key(f"/vsicurl?url={quote('https://h/get?id=1', safe='')}") == key("/vsicurl/https://h/get?id=1")


def test_a_files_key_is_its_absolute_path(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert key("a?b=c.tif") == f"{tmp_path}/a?b=c.tif"


def test_a_users_own_settings_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LIMITS, *FETCHING):
        monkeypatch.delenv(name, raising=False)
    own = {"GDAL_HTTP_MAX_RETRY": "9", "CPL_VSIL_CURL_CACHE_SIZE": "1000000"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    prepare_gdal()
    save_memory()
    assert {name: os.environ[name] for name in (*LIMITS, *FETCHING)} == {**LIMITS, **FETCHING, **own}


def test_a_run_of_limited_memory_keeps_little_of_what_was_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FETCHING:
        monkeypatch.delenv(name, raising=False)
    prepare_gdal()
    before = int(os.environ["CPL_VSIL_CURL_CACHE_SIZE"])
    save_memory()
    assert int(os.environ["CPL_VSIL_CURL_CACHE_SIZE"]) == before / 8


@pytest.mark.parametrize(("text", "size"), [("16384", 16384), ("128 MB", 0), ("", 0), (None, 0)])
def test_sizes_that_are_no_plain_numbers_are_not_guessed(
    monkeypatch: pytest.MonkeyPatch, text: str | None, size: int
) -> None:
    if text is None:
        monkeypatch.delenv("CPL_VSIL_CURL_CHUNK_SIZE", raising=False)
    else:
        monkeypatch.setenv("CPL_VSIL_CURL_CHUNK_SIZE", text)
    assert setting_bytes("CPL_VSIL_CURL_CHUNK_SIZE") == size
