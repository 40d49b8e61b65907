"""Results in a PostGIS table from the command line: all or nothing, resumed from anywhere, and no password shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import geopandas
import pytest
import rasterio
from support.bright import BrightSquares, Failing, PowerCutError, bright_card
from support.commands import Run
from support.postgis_server import PASSWORD, Server
from support.scenes import noise, squares, write_scene

from lcageo.config import DetectConfig
from lcageo.errors import InterruptedRunError, UsageError
from lcageo.inference.jobs import Job, plan_jobs
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run as SceneRun
from lcageo.vector import publish
from lcageo.vector.target import parse_output

ELSEWHERE = rasterio.Affine(0.5, 0.0, 500_500.0, 0.0, -0.5, 5_000_000.0)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scene.tif", noise(200, 200))


@pytest.fixture
def detect(run: Run, untrained: Path) -> Run:
    return lambda *arguments: run("detect", *arguments, "--model", untrained, "--score", 0.03)


def test_a_table_has_what_the_file_has(tmp_path: Path, scene: Path, detect: Run, postgis: Server) -> None:
    outcome = detect(scene, "-o", "found.gpkg", "-o", postgis.url("from_detect"), "--json")
    assert outcome.code == 0, outcome.err
    assert PASSWORD not in outcome.out + outcome.err and quote(PASSWORD, safe="") not in outcome.out + outcome.err
    layer = geopandas.read_file(tmp_path / "found.gpkg")
    table = postgis.rows("SELECT id, class, score, ST_AsText(geometry) FROM from_detect ORDER BY id")
    assert [row[0] for row in table] == [str(number) for number in layer["id"]]
    assert [row[1] for row in table] == layer["class"].tolist()
    assert [float(row[2]) for row in table] == layer["score"].tolist()
    same = geopandas.GeoSeries.from_wkt([row[3] for row in table]).geom_equals_exact(layer.geometry, 1e-6, align=False)
    assert len(table) > 30 and same.all()
    ((comment,),) = postgis.rows("SELECT obj_description('from_detect'::regclass)")
    assert PASSWORD not in comment and '"model_sha256"' in comment


def test_tables_are_refused_replaced_and_appended_to(
    tmp_path: Path, scene: Path, detect: Run, run: Run, postgis: Server
) -> None:
    table = postgis.url("again")
    count = "SELECT count(*), count(DISTINCT id), count(DISTINCT scene) FROM again"
    assert detect(scene, "-o", table).code == 0
    ((once, _, _),) = postgis.rows(count)
    outcome = detect(scene, "-o", table)
    assert outcome.code == 2 and "exists; use --overwrite to replace it, --append to add to it" in outcome.err
    assert PASSWORD not in outcome.err and quote(PASSWORD, safe="") not in outcome.err
    assert detect(scene, "-o", table, "--overwrite").code == 0
    assert postgis.rows(count) == [[once, once, "1"]]
    other = write_scene(tmp_path / "other.tif", noise(200, 200, seed=1), transform=ELSEWHERE)
    assert detect(other, "-o", table, "-o", "other.gpkg", "--append").code == 0
    ((both, ids, scenes),) = postgis.rows(count)
    assert int(both) > int(once) and both == ids and scenes == "2"
    assert "already has the objects that this run would find" in detect(other, "-o", table, "--append").err
    assert "exists" in run("filter", "other.gpkg", table).err
    assert run("filter", "other.gpkg", table, "--top", 3, "--append").code == 0
    assert postgis.rows(count)[0][0] == str(int(both) + 3)
    outcome = run("filter", "other.gpkg", table, "--top", 3, "--overwrite", "--to", "EPSG:4326")
    assert outcome.code == 0 and postgis.rows("SELECT DISTINCT ST_SRID(geometry) FROM again") == [["4326"]]


def test_nothing_is_left_where_a_file_cannot_be_written(
    tmp_path: Path, scene: Path, detect: Run, postgis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgis.rows("CREATE TABLE views_base (geometry geometry); CREATE VIEW on_base AS SELECT * FROM views_base")
    outcome = detect(scene, "-o", "found.gpkg", "-o", postgis.url("views_base"), "--overwrite")
    assert outcome.code == 1 and "other objects depend on it" in outcome.err
    assert not (tmp_path / "found.gpkg").exists()
    monkeypatch.setattr("lcageo.inference.results.draw_quicklook", lambda *arguments: 1 / 0)
    assert detect(scene, "-o", postgis.url("undone"), "--quicklook", "picture.png").code == 1
    assert postgis.rows("SELECT to_regclass('undone') IS NULL") == [["t"]]


@pytest.mark.parametrize("more", [(), ("--append",)])
def test_a_run_that_died_after_the_commit_is_completed_once(
    more: tuple[str, ...], tmp_path: Path, scene: Path, detect: Run, postgis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"died{len(more)}"
    outputs = ("-o", "found.gpkg", "-o", postgis.url(name), *more)
    if more:
        first = write_scene(tmp_path / "first.tif", noise(200, 200, seed=1), transform=ELSEWHERE)
        assert detect(first, *outputs).code == 0

    def power_cut(draft: object, undo: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as broken, pytest.raises(PowerCutError):
        broken.setattr(publish, "_publish", power_cut)  # when the tables are committed
        detect(scene, *outputs)
    ((committed,),) = postgis.rows(f"SELECT count(*) FROM {name}")
    assert detect(scene, *outputs).code == 0
    assert postgis.rows(f"SELECT count(*), count(DISTINCT id) FROM {name}") == [[committed, committed]]
    assert str(len(geopandas.read_file(tmp_path / "found.gpkg", layer="found"))) == committed


CONFIG = DetectConfig(overlap="0")


def run_job(job: Job, predictor: BrightSquares) -> None:
    (outcome,) = run_jobs([job], SceneRun(LocalRunner(predictor, 3), CONFIG, lambda line: None))
    if outcome.error is not None:
        raise outcome.error


def test_a_stopped_run_resumes_from_any_folder(
    tmp_path: Path, cache: Path, postgis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "scene.tif", squares(300, 300, [(20, 20, 12, 240), (200, 210, 20, 220)]))
    (job,) = plan_jobs([str(path)], [parse_output(postgis.url("resumed"))], None, overwrite=False)
    assert job.layers == () and job.journal.is_relative_to(cache)
    with pytest.raises(InterruptedRunError):
        run_job(job, Failing(3, InterruptedRunError("stopped by the user")))
    assert job.journal.exists() and PASSWORD.encode() not in job.journal.read_bytes()
    assert postgis.rows("SELECT to_regclass('resumed') IS NULL") == [["t"]]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (again,) = plan_jobs(["../scene.tif"], [parse_output(postgis.url("resumed"))], None, overwrite=False)
    rest = BrightSquares(bright_card(64))
    monkeypatch.chdir(tmp_path)
    run_job(Job(str(path), (), None, tables=again.tables), rest)
    all_batches = BrightSquares(bright_card(64))
    run_job(plan_jobs([str(path)], [tmp_path / "whole.gpkg"], None, overwrite=False)[0], all_batches)
    assert 0 < len(rest.batches) < len(all_batches.batches)
    assert postgis.rows("SELECT count(*) FROM resumed") == [
        [str(len(geopandas.read_file(tmp_path / "whole.gpkg", layer="whole")))]
    ]
    assert not job.journal.exists() and list((tmp_path / "elsewhere").iterdir()) == []


def test_addresses_where_none_belong_do_not_tell_the_password(scene: Path, detect: Run, run: Run) -> None:
    address = "postgresql://ann:hidden-word@nowhere.invalid/gis?table=t"
    for arguments in (
        (scene, "--holes", address),
        (scene, "--quicklook", address),
        (address, "-o", "a.gpkg"),
        (scene, "-o", address),
        (scene, "-o", address, "--debug"),
        ("filter", address, "a.gpkg"),
        ("filter", scene, address),
    ):
        outcome = (run if arguments[0] == "filter" else detect)(*arguments)
        assert outcome.code in (1, 2) and "hidden-word" not in outcome.err + outcome.out, outcome.err


def test_several_scenes_need_append_to_share_a_table(tmp_path: Path, postgis: Server) -> None:
    table = parse_output(postgis.url("shared"))
    with pytest.raises(UsageError, match="would both write 'postgresql://analyst@"):
        plan_jobs(["a.tif", "b.tif"], [table], None, overwrite=False)
    assert len(plan_jobs(["a.tif", "b.tif"], [table, table], None, overwrite=False, append=True)[0].tables) == 1
