"""What commands say where something around them is wrong: folders, names, packages, standard output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Run
from support.scenes import noise, write_scene


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scene.tif", noise(100, 100))


def test_a_folder_names_batch(run: Run, scene: Path, untrained: Path) -> None:
    outcome = run("detect", ".", "--model", untrained)
    assert outcome.code == 2 and "'.' is a folder; for all its scenes, use 'lcageo batch . --out" in outcome.err


def test_scenes_of_one_file_name_batch_and_append(run: Run, scene: Path, tmp_path: Path, untrained: Path) -> None:
    write_scene(tmp_path / "b.tif", noise(100, 100))
    outcome = run("detect", scene, "b.tif", "-o", "all.gpkg", "--model", untrained)
    assert outcome.code == 2 and "--append" in outcome.err and "'lcageo batch'" in outcome.err


@pytest.mark.parametrize("letters", [200, 220, 235, 246, 251])
def test_names_as_long_as_a_file_system_allows(
    run: Run, scene: Path, untrained: Path, tmp_path: Path, letters: int
) -> None:
    long = scene.rename(tmp_path / f"{'x' * letters}.tif")
    outcome = run("detect", long.name, "--model", untrained, "--score", "0.02")
    if letters + len(".geojson") <= 255:
        assert outcome.code == 0, outcome.err
        assert {path.suffix for path in tmp_path.iterdir()} == {".tif", ".geojson", ".qml"}
    else:
        assert outcome.code == 1 and "File name too long; check its name" in outcome.err
        assert "report it" not in outcome.err
    outcome = run("batch", long.name, "--out", "found", "--model", untrained, "--score", "0.02")
    assert outcome.code == 0 and len(list((tmp_path / "found" / "scenes").iterdir())) == 1, outcome.err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that even root cannot write to is Linux' /proc")
def test_a_folder_that_cannot_be_written_to_is_named(run: Run, scene: Path, untrained: Path) -> None:
    for command in (("detect", scene, "-o", "/proc/a.gpkg"), ("batch", scene, "--out", "/proc/self")):
        outcome = run(*command, "--model", untrained)
        assert outcome.code == 1 and "journal" not in outcome.err and "report it" not in outcome.err
        assert (
            f"output folder '{'/proc' if command[0] == 'detect' else '/proc/self'}' cannot be written to" in outcome.err
        )


@pytest.mark.parametrize(("suffix", "driver"), [(".ecw", "ECW"), (".sid", "MrSID"), (".kmz", "KMLSUPEROVERLAY")])
def test_a_driver_that_gdal_lacks_is_named(run: Run, tmp_path: Path, suffix: str, driver: str) -> None:
    import rasterio

    with rasterio.Env() as environment:
        if driver in environment.drivers():
            pytest.skip(f"this GDAL has {driver}")
    (tmp_path / f"a{suffix}").write_bytes(b"something else")
    outcome = run("info", f"a{suffix}")
    assert outcome.code == 1 and f"cannot read {suffix} files (driver {driver}); convert it to GeoTIFF" in outcome.err


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lcageo", *map(str, arguments)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux'")
def test_a_full_standard_output_is_told(scene: Path, untrained: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command("info", scene), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device; free space there\n"


def test_a_removed_current_folder_is_told(tmp_path: Path, untrained: Path, scene: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f'rmdir "{gone}"; exec "$@"'
    line = command("detect", scene, "--model", untrained)
    done = subprocess.run(["sh", "-c", shell, "sh", *line], cwd=gone, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "report it" not in done.stderr
    assert "the current folder does not exist any more" in done.stderr or "output folder '.'" in done.stderr


def test_packages_of_another_installation_are_told(tmp_path: Path, scene: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "numpy.py").write_text("raise ImportError('built for another Python')")
    path = os.pathsep.join([str(foreign), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command("info", scene), env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1 and "report it" not in done.stderr
    assert "built for another Python" in done.stderr and "run again without it" in done.stderr
