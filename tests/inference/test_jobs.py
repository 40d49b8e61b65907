"""Where results go, and what is refused before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.errors import UsageError
from lcageo.inference.jobs import Job, plan_jobs
from lcageo.journal.journal import journal_path
from lcageo.vector.target import parse_output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs(jobs: tuple[Job, ...]) -> list[list[str]]:
    return [[path.as_posix() for path in job.outputs] for job in jobs]


def test_results_are_named_for_their_scenes() -> None:
    scenes = ["in/a.tif", "in/b.tif"]
    assert outputs(plan_jobs(scenes, [], None, False)) == [["a.geojson"], ["b.geojson"]]
    jobs = plan_jobs(scenes, [Path("out")], Path("pictures"), False, holes=Path("out"), review=Path("review"))
    expected = ["out/a.geojson", "out/a-holes.geojson", "review/a-review.geojson", "pictures/a.png"]
    assert outputs(jobs)[0] == expected and [job.scene for job in jobs] == scenes
    (job,) = plan_jobs(["a.tif"], [Path("a.gpkg"), Path("a.csv"), Path("a.gpkg")], None, False)
    assert [layer.path.name for layer in job.layers] == ["a.gpkg", "a.csv"]


def test_a_dry_run_plans_no_outputs_and_refuses_none() -> None:
    Path("a.geojson").touch()
    assert outputs(plan_jobs(["a.tif", "a.tif"], [], None, False, dry_run=True)) == [[], []]


def test_existing_files_are_refused_unless_they_may_be_replaced() -> None:
    Path("a.geojson").touch()
    with pytest.raises(UsageError, match="exists"):
        plan_jobs(["a.tif"], [], None, overwrite=False)
    assert outputs(plan_jobs(["a.tif"], [], None, overwrite=True)) == [["a.geojson"]]


@pytest.mark.parametrize(
    ("scenes", "layer", "message"),
    [
        (["x/a.tif", "y/a.tif"], "out", "would both write 'out/a.geojson'; use a folder with -o"),
        (["a.tif", "b.tif"], "one.gpkg", "would both write 'one.gpkg'"),
        (["a.tif", "a.tif"], "out", "scene 'a.tif' is given twice; give each scene once"),
        (["a.gpkg"], "a.gpkg", "output 'a.gpkg' is one of the scenes; choose another file"),
    ],
)
def test_results_that_would_replace_one_another_or_a_scene_are_refused(
    scenes: list[str], layer: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan_jobs(scenes, [Path(layer)], None, overwrite=False)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="--append and --overwrite cannot be combined"):
        plan_jobs(["a.tif"], [], None, overwrite=True, append=True)
    with pytest.raises(UsageError, match=r"neither a folder nor a \.png file"):
        plan_jobs(["a.tif"], [], Path("a.jpg"), overwrite=False)
    with pytest.raises(
        UsageError, match=r"-o and --holes would both write 'a\.gpkg'; choose another file with --holes"
    ):
        plan_jobs(["a.tif"], [Path("a.gpkg")], None, overwrite=False, holes=Path("a.gpkg"))


def test_the_journal_is_beside_the_first_layer_or_in_the_cache(cache: Path) -> None:
    (job,) = plan_jobs(["a.tif"], [Path("a.gpkg"), Path("b.csv")], None, False)
    assert job.journal == journal_path(Path("a.gpkg"))
    both = plan_jobs(["a.tif", "b.tif"], [Path("all.gpkg")], None, False, append=True)
    assert len({one.journal for one in both}) == 2 and {one.journal.parent for one in both} == {Path()}
    table = parse_output("postgresql://analyst@host/db?table=ships")
    in_table, other = (Job(scene, (), None, tables=(table,)) for scene in ("a.tif", "b.tif"))  # type: ignore[arg-type]
    assert in_table.journal.is_relative_to(cache) and in_table.journal != other.journal
