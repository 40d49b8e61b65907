"""Pages of `lcageo report` in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from support.commands import Run
from support.scenes import UTM, noise, write_scene

from lcageo.calibration import Calibration, expected
from lcageo.detections import Detections
from lcageo.palette import class_colour
from lcageo.scene.georef import Georeference
from lcageo.vector.features import feature_parts, hole_features
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

CHROMIUM = shutil.which("chromium")
TURNED = rasterio.Affine.translation(5e5, 5e6) @ rasterio.Affine.rotation(30) @ rasterio.Affine.scale(0.5, -0.5)
EVIL = "<img src=x onerror=evil=1><script>evil=1</script>"
NONE = "\u2013"
"""A dash, for a number that is not there."""
CLASSES = ("ship", "storage tank", EVIL)
FOUND = Detections(
    np.array([[20, 30, 60, 80], [100, 100, 150, 120], [200, 40, 240, 70], [10, 150, 30, 170]], np.float64),
    np.array([0.9, 0.5, 0.7, 0.3], np.float32),
    np.array([0, 1, 2, 1]),
)


@dataclass
class Browser:
    """A tab, and what it complained about or asked the network for."""

    tab: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def show(self, path: Path) -> None:
        self.tab.goto(path.absolute().as_uri())
        self.tab.wait_for_selector("body:not(.loading)", timeout=60_000)
        self.settle()

    def settle(self) -> None:
        """Waits until what was asked for is drawn."""
        self.tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def wait_until(self, condition: str) -> None:
        """Playwright's own waiting evaluates text in the page, which the page forbids."""
        for _ in range(600):
            if self.tab.evaluate(condition):
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"{condition} did not come true")

    def text(self, selector: str) -> str:
        return str(self.tab.locator(selector).inner_text())

    def picture(self) -> NDArray[np.int64]:
        """(h, w, 3) what the canvas shows."""
        with Image.open(io.BytesIO(self.tab.locator("#canvas").screenshot())) as picture:
            return np.asarray(picture.convert("RGB"), np.int64)

    def colour_at(self, x: float, y: float) -> tuple[int, ...]:
        """What the canvas shows at a point of the plane."""
        left, top = self.tab.evaluate("([x, y]) => [Math.floor(view.x(x)), Math.floor(view.y(y))]", [x, y])
        return tuple(self.picture()[top, left].tolist())

    def slide_to(self, score: int) -> None:
        self.tab.locator("#slider").fill(str(score))
        self.settle()

    def counts(self) -> dict[str, list[str]]:
        """Of each class: shown, of how many, area."""
        rows = self.tab.locator("#classes tbody tr").all()
        cells = [[cell.inner_text() for cell in row.locator("td").all()] for row in rows]
        return {name.strip(): rest[:3] for name, *rest in cells}

    def listed(self) -> list[str]:
        return [" ".join(row.inner_text().split()) for row in self.tab.locator(".row").all()]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("SKIPPED FOR LACK OF A TOOL: chromium is not installed (Debian package chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="SKIPPED FOR LACK OF A TOOL: no playwright")
    with playwright.sync_playwright() as driver:
        # Containers have no user namespaces for its sandbox.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    tab = chromium.new_page(viewport={"width": 1400, "height": 800})
    found = Browser(tab)
    tab.on("console", lambda message: found.complaints.append(message.text))
    tab.on("pageerror", lambda error: found.complaints.append(str(error)))
    tab.on("request", lambda request: found.requests.append(request.url))
    yield found
    tab.close()
    assert found.complaints == []
    assert all(url.startswith("file://") and url.endswith(".html") for url in found.requests), found.requests


def write_layer_of(path: Path, objects: Detections, transform: rasterio.Affine, **provenance: Any) -> Path:
    reference = Georeference(pyproj.CRS(32633), transform)
    parts = feature_parts([objects], CLASSES, reference.to_map, reference.crs, "scene")
    write_layer(parts, RunRecord.from_json({"crs": "EPSG:32633", **provenance}), FileTarget.of(path))
    return path


def report(
    run: Run, folder: Path, objects: Detections = FOUND, transform: rasterio.Affine = UTM, suffix: str = ".gpkg",
    pixels: NDArray[np.uint8] | None = None, name: str = "scene", more: tuple[object, ...] = (), **provenance: Any,
) -> Path:  # fmt: skip
    """The page of a scene and its objects."""
    scene = write_scene(folder / f"{name}.tif", noise(200, 300) if pixels is None else pixels, transform=transform)
    layer = write_layer_of(folder / f"found{suffix}", objects, transform, **provenance)
    outcome = run("report", scene, layer, "-o", "page.html", *more)
    assert outcome.code == 0, outcome.err
    return folder / "page.html"


@pytest.mark.parametrize("transform", [UTM, TURNED], ids=["north up", "turned"])
@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_boxes_lie_where_the_objects_are(
    transform: rasterio.Affine, suffix: str, tmp_path: Path, run: Run, browser: Browser
) -> None:
    browser.show(report(run, tmp_path, transform=transform, suffix=suffix))
    for (x1, y1, x2, y2), label in zip(FOUND.boxes_xyxy.tolist(), FOUND.labels.tolist(), strict=True):
        # Below the upper side, where the name may be.
        for x, y in ((x1, (y1 + y2) / 2), (x2, (y1 + y2) / 2), ((x1 + x2) / 2, y2)):
            assert np.abs(np.subtract(browser.colour_at(x, y), class_colour(label))).max() <= 40
        assert max(browser.colour_at((x1 + x2) / 2, (y1 + y2) / 2)) < 140, "the ground is seen inside"


@pytest.mark.parametrize("transform", [UTM, TURNED], ids=["north up", "turned"])
def test_outlines_lie_on_what_is_seen(transform: rasterio.Affine, tmp_path: Path, run: Run, browser: Browser) -> None:
    pixels = np.zeros((3, 200, 300), np.uint8)
    pixels[:, 30:80, 20:60] = 255
    browser.show(report(run, tmp_path, FOUND.selected(slice(1)), transform, pixels=pixels))

    def extent(mask: NDArray[np.bool_]) -> list[int]:
        rows, columns = np.nonzero(mask[:-80])  # above the scale bar
        return [int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())]

    browser.tab.locator("#none").click()
    browser.tab.evaluate("element('buttons').hidden = true")
    browser.settle()
    seen = extent((browser.picture() > 128).all(axis=-1))
    browser.tab.locator("#all").click()
    browser.settle()
    outline = (np.abs(browser.picture() - class_colour(0)) < 40).all(axis=-1)
    outline[: seen[1] - 2] = False  # its name
    assert seen[2] - seen[0] > 100 and np.abs(np.subtract(extent(outline), seen)).max() <= 2


def test_the_page_starts_at_each_class_s_threshold(tmp_path: Path, run: Run, browser: Browser) -> None:
    thresholds = {"ship": 0.8, "storage tank": 0.4, EVIL: 0.75}
    browser.show(report(run, tmp_path, thresholds=thresholds, parameters={"keep": 0.1}))
    assert browser.text("#shown") == "2 of 4 objects" and browser.text("#least") == "each class's own"
    assert {name: numbers[:2] for name, numbers in browser.counts().items()} == {
        "ship": ["1", "1"], "storage tank": ["1", "2"], EVIL: ["0", "1"],
    }  # fmt: skip
    browser.slide_to(6000)
    assert browser.text("#shown") == "2 of 4 objects" and browser.text("#least") == "0.60"
    assert [line.split()[-3] for line in browser.listed()] == ["0.90", "0.70"]


def test_the_slider_changes_counts_list_and_picture(tmp_path: Path, run: Run, browser: Browser) -> None:
    browser.show(report(run, tmp_path))
    assert browser.text("#shown") == "4 of 4 objects" and len(browser.listed()) == 4
    assert browser.counts()["storage tank"][:2] == ["2", "2"]
    before = browser.colour_at(100, 110)
    browser.slide_to(5000)  # as much as one has
    assert browser.text("#shown") == "3 of 4 objects" and browser.text("#least") == "0.50"
    assert browser.counts()["storage tank"] == ["1", "2", "250.2 m²"]
    browser.slide_to(6000)
    assert browser.text("#shown") == "2 of 4 objects"
    assert browser.counts()["storage tank"] == ["0", "2", NONE]
    assert browser.colour_at(100, 110) != before and max(browser.colour_at(100, 110)) < 140
    assert [line.split()[-3] for line in browser.listed()] == ["0.90", "0.70"]


def test_the_number_of_right_objects_follows_the_slider(tmp_path: Path, run: Run, browser: Browser) -> None:
    calibration = Calibration(2.0, 0.5, 0.3, 0.4)
    browser.show(report(run, tmp_path, calibration={"storage tank": calibration.as_json()}))
    tanks = FOUND.scores[FOUND.labels == CLASSES.index("storage tank")].astype(float)
    row = browser.tab.locator("#classes tbody tr", has_text="storage tank").locator("td").nth(4)
    other = browser.tab.locator("#classes tbody tr", has_text="ship").locator("td").nth(4)
    for minimum in (0.0, 0.5):
        browser.slide_to(round(minimum * 10_000))
        assert row.inner_text() == str(expected(calibration, Counter(tanks[tanks >= minimum].tolist())))
        assert other.inner_text() == ""
    assert "calibration" not in browser.text("#provenance")


def test_a_toggle_hides_a_class(tmp_path: Path, run: Run, browser: Browser) -> None:
    browser.show(report(run, tmp_path))
    assert browser.colour_at(20, 55) == pytest.approx(class_colour(0), abs=40)
    browser.tab.locator("#classes tbody tr input").first.uncheck()
    browser.settle()
    assert browser.text("#shown") == "3 of 4 objects" and browser.counts()["ship"][:2] == ["0", "1"]
    assert max(browser.colour_at(20, 55)) < 140 and not any("ship" in line for line in browser.listed())
    browser.tab.locator("#none").click()
    assert browser.text("#shown") == "0 of 4 objects" and browser.listed() == []
    browser.tab.locator("#all").click()
    assert browser.text("#shown") == "4 of 4 objects"


def test_a_click_in_the_list_zooms_to_the_object(tmp_path: Path, run: Run, browser: Browser) -> None:
    browser.show(report(run, tmp_path))
    before = browser.tab.evaluate("view.scale")
    browser.tab.locator(".row", has_text="0.30").click()
    browser.settle()
    assert browser.tab.evaluate("view.scale") > 2 * before
    middle = browser.tab.evaluate(
        "[view.left + view.screenWidth / view.scale / 2, view.top + view.screenHeight / view.scale / 2]"
    )
    assert middle == pytest.approx([20, 160], abs=0.1)
    assert browser.tab.locator(".row[aria-selected=true]").count() == 1
    browser.tab.locator("#list").press("ArrowUp")
    browser.settle()
    assert browser.tab.evaluate("view.left + view.screenWidth / view.scale / 2") == pytest.approx(125, abs=0.1)
    browser.tab.locator("#whole").click()
    assert browser.tab.evaluate("view.scale") == pytest.approx(before)


def test_the_list_sorts(tmp_path: Path, run: Run, browser: Browser) -> None:
    browser.show(report(run, tmp_path))
    first = {}
    for key in ("score", "area", "class", "id"):
        browser.tab.locator("#sorting button", has_text=key).click()
        first[key] = [int(line.split()[0]) for line in browser.listed()]
    assert first == {"score": [1, 3, 2, 4], "area": [1, 3, 2, 4], "class": [1, 2, 4, 3], "id": [1, 2, 3, 4]}


def test_the_wheel_zooms_about_the_pointer_and_dragging_moves(tmp_path: Path, run: Run, browser: Browser) -> None:
    browser.show(report(run, tmp_path))
    mouse = browser.tab.mouse
    at = "() => [view.left + 300 / view.scale, view.top + 200 / view.scale, view.scale]"
    frame = browser.tab.locator("#canvas").bounding_box()
    x, y = frame["x"] + 300, frame["y"] + 200
    before = browser.tab.evaluate(at)
    mouse.move(x, y)
    mouse.wheel(0, -300)
    browser.wait_until(f"view.scale > {before[2]} * 1.2")
    after = browser.tab.evaluate(at)
    assert after[:2] == pytest.approx(before[:2], abs=0.2)  # pointers stand on whole pixels
    mouse.down()
    mouse.move(x + 50, y + 30, steps=4)
    mouse.up()
    moved = browser.tab.evaluate("() => [view.left + 350 / view.scale, view.top + 230 / view.scale]")
    assert moved == pytest.approx(after[:2], abs=0.2)
    assert browser.tab.evaluate("choice.selected") == -1, "dragging is no click"


def test_pointing_tells_and_a_click_selects(tmp_path: Path, run: Run, browser: Browser) -> None:
    browser.show(report(run, tmp_path))
    frame = browser.tab.locator("#canvas").bounding_box()
    x, y = browser.tab.evaluate("[view.x(40.5), view.y(55.5)]")
    browser.tab.mouse.move(frame["x"] + x, frame["y"] + y)
    assert browser.text("#tip") == "ship, score 0.90\n500.4 m², id 1"
    column, row = UTM @ (40.5, 55.5)
    shown = browser.text("#place")
    assert shown.endswith("column 40, row 55")
    assert "EPSG:32633" in shown and float(shown.split(",")[0]) == pytest.approx(column, abs=0.3)
    assert float(shown.split(",")[1].split()[0]) == pytest.approx(row, abs=0.3)
    browser.tab.mouse.click(frame["x"] + x, frame["y"] + y)
    assert "ship" in browser.text(".row[aria-selected=true]")


def test_names_of_any_kind_are_harmless(tmp_path: Path, run: Run, browser: Browser) -> None:
    page = report(run, tmp_path, name="<img src=x onerror=evil=1>", note=EVIL, parameters={EVIL: EVIL})
    browser.show(page)
    assert browser.tab.evaluate("typeof evil") == "undefined"
    assert browser.text("h1") == "<img src=x onerror=evil=1>" and EVIL in browser.counts()
    assert browser.tab.locator("#provenance table").text_content().count(EVIL) == 3
    assert browser.tab.locator("img").count() == 1, "the picture alone"
    browser.tab.locator(".row", has_text="0.70").click()
    browser.settle()
    assert browser.tab.evaluate("typeof evil") == "undefined"


def test_the_page_forbids_itself_to_load_anything(tmp_path: Path, run: Run, browser: Browser) -> None:
    browser.show(report(run, tmp_path))
    refused = browser.tab.evaluate("fetch('https://example.com/').then(() => 'loaded', () => 'refused')")
    assert refused == "refused" and any("Content Security Policy" in line for line in browser.complaints)
    browser.tab.evaluate(
        "const made = document.createElement('script'); made.textContent = 'evil = 1'; document.body.append(made)"
    )
    assert browser.tab.evaluate("typeof evil") == "undefined"
    browser.complaints.clear()


def test_holes_are_shown_and_can_be_gone_to(tmp_path: Path, run: Run, browser: Browser) -> None:
    reference = Georeference(pyproj.CRS(32633), UTM)
    areas = hole_features(
        np.array([[0.0, 100, 80, 180]]), ["torn at column 0"], reference.to_map, reference.crs, "scene"
    )
    write_layer([areas], RunRecord(crs="EPSG:32633"), FileTarget.of(tmp_path / "holes.gpkg"))
    plain = report(run, tmp_path).rename(tmp_path / "plain.html")
    browser.show(plain)
    before = browser.colour_at(60, 160)
    browser.show(report(run, tmp_path, more=("--holes", "holes.gpkg")))
    red, _, blue = browser.colour_at(60, 160)
    assert red > before[0] and blue < before[2]
    browser.tab.locator("#holes button").click()
    assert browser.text("#holes") == "Not read: torn at column 0"
    assert browser.tab.evaluate("view.top + view.screenHeight / view.scale / 2") == pytest.approx(140, abs=0.1)


def test_100_000_objects_can_be_looked_through(tmp_path: Path, run: Run, browser: Browser) -> None:
    rng, count = np.random.default_rng(0), 100_000
    corners = rng.uniform(0, 2980, (count, 2))
    scores = rng.uniform(0.05, 1, count).astype(np.float32)
    many = Detections(np.hstack([corners, corners + rng.uniform(4, 20, (count, 2))]), scores, rng.integers(0, 3, count))
    page = report(run, tmp_path, many, pixels=np.zeros((3, 3000, 3000), np.uint8))
    assert page.stat().st_size < 35 * count
    browser.show(page)
    assert browser.text("#shown") == "100,000 of 100,000 objects"
    browser.wait_until("!view.moving && earlier !== null")
    before = browser.picture()
    browser.tab.evaluate("view.pan(40, 30); clearTimeout(view.rest)")  # and stays so
    browser.settle()
    moving = browser.picture()
    browser.tab.evaluate("view.stir()")
    browser.wait_until("!view.moving && earlier.left === view.left")
    for after in (moving, browser.picture()):  # a copy of what was drawn, then drawn again
        apart = np.abs(after[130:630, 240:740] - before[100:600, 200:700])
        assert before[100:600, 200:700].std() > 20 and apart.mean() < 2
    browser.slide_to(8000)
    expected = int((np.round(scores.astype(np.float64), 4) >= 0.8).sum())
    assert browser.text("#shown") == f"{expected:,} of 100,000 objects"
    browser.tab.locator("#list").evaluate("list => { list.scrollTop = list.scrollHeight }")
    browser.settle()
    last = browser.tab.locator(".row").last
    assert "0.80" in last.inner_text()
    last.click()
    browser.settle()
    index = int(last.inner_text().split()[0]) - 1
    middle = browser.tab.evaluate("view.left + view.screenWidth / view.scale / 2")
    assert middle == pytest.approx((many.boxes_xyxy[index, 0] + many.boxes_xyxy[index, 2]) / 2, abs=0.1)


def test_a_layer_of_nothing_and_one_without_scores_are_pages(tmp_path: Path, run: Run, browser: Browser) -> None:
    import geopandas
    import shapely

    browser.show(report(run, tmp_path, Detections.empty()))
    assert browser.text("#shown") == "0 of 0 objects" and not browser.tab.locator("#by-score").is_visible()
    shapes = [shapely.box(UTM.c + 10, UTM.f - 60, UTM.c + 60, UTM.f - 10)]
    geopandas.GeoDataFrame({"class": ["port"]}, geometry=shapes, crs=32633).to_file(tmp_path / "own.gpkg")
    assert run("report", "scene.tif", "own.gpkg", "-o", "own.html").code == 0
    browser.show(tmp_path / "own.html")
    assert browser.text("#shown") == "1 of 1 objects" and browser.listed() == [f"1 port {NONE} {NONE}"]
    assert not browser.tab.locator("#by-score").is_visible()


# ---- surveys ----


@pytest.fixture
def survey(tmp_path: Path, run: Run, untrained: Path) -> Path:
    """The pages of two scenes side by side, of which one is turned, and of one that is no raster."""
    (tmp_path / "flight").mkdir()
    write_scene(tmp_path / "flight" / "a<b>a.tif", noise(200, 300))
    write_scene(
        tmp_path / "flight" / "turned.tif", noise(200, 300), transform=rasterio.Affine.translation(300, 0) @ TURNED
    )
    (tmp_path / "flight" / "broken.tif").write_bytes(b"II*\0junk")
    assert run("batch", "flight", "--out", "out", "--model", untrained, "--score", 0.02).code == 3
    assert run("report", "out", "-o", "pages").code == 0
    return tmp_path / "pages"


def test_the_index_shows_the_scenes_and_leads_to_their_pages(survey: Path, browser: Browser) -> None:
    browser.show(survey / "index.html")
    assert [line.split()[0] for line in browser.listed()] == ["a<b>a", "broken", "turned"]
    middles = browser.tab.evaluate(
        "page.scenes.map((one) => one.corners === null ? null : [0, 1].map((axis) =>"
        " one.corners.reduce((sum, corner) => sum + corner[axis], 0) / 4))"
    )
    assert middles[1] is None
    browser.tab.evaluate("page.classes.forEach((one, label) => choice.off.add(label)); refresh()")  # objects' dots
    browser.settle()
    for x, y in (middles[0], middles[2]):
        assert 30 <= max(browser.colour_at(x + 30, y)) <= 140, "the scene's picture"
    assert browser.colour_at(middles[0][0], middles[0][1] - 80) == (0, 0, 0)
    browser.tab.locator("#find").fill("TURN")
    assert "1 of 3 scenes" in browser.text("#shown") and len(browser.listed()) == 1
    browser.tab.locator(".row").click()
    browser.settle()
    frame = browser.tab.locator("#canvas").bounding_box()
    browser.tab.mouse.dblclick(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    browser.tab.wait_for_selector("#slider")
    assert browser.text("h1") == "turned"
    browser.tab.go_back()
    browser.tab.wait_for_selector("body:not(.loading) .row a")
    browser.tab.locator(".row a", has_text="a<b>a").click()
    browser.tab.wait_for_selector("#slider")
    assert browser.text("h1") == "a<b>a"


def test_the_index_shows_where_objects_are_and_pages_lead_back_to_it(survey: Path, browser: Browser) -> None:
    browser.show(survey / "index.html")
    scene = "page.scenes.find((scene) => scene.name === 'turned')"
    total = browser.tab.evaluate(f"{scene}.counts.reduce((sum, count) => sum + count, 0)")
    assert browser.tab.evaluate(f"{scene}.dots.reduce((sum, dot) => sum + dot[3], 0)") == total > 0
    browser.tab.evaluate(f"const one = {scene}; one.dots = [[0.25, 0.25, one.dots[0][2], 400]]; view.redraw()")
    browser.settle()
    [[x, y], [right, across], _, [left, below]] = browser.tab.evaluate(f"{scene}.corners")
    at = (x + 0.25 * (right - x + left - x), y + 0.25 * (across - y + below - y))
    colour = browser.tab.evaluate(f"page.classes[{scene}.dots[0][2]].colour")
    assert "#{:02x}{:02x}{:02x}".format(*browser.colour_at(*at)) == colour
    browser.show(survey / "scenes" / "turned.html")
    assert browser.tab.locator("#index").get_attribute("href") == "../index.html"
    browser.tab.locator("#index").click()
    browser.tab.wait_for_selector("#find")
    assert browser.text("h1") == "Survey out"


def test_the_index_counts_the_classes_that_are_on(survey: Path, browser: Browser) -> None:
    browser.show(survey / "index.html")

    def total() -> int:
        return int(browser.text("#shown").split()[0].replace(",", ""))

    every = total()
    rows = browser.tab.locator("#classes tbody tr").all()
    first = int(rows[0].locator("td").nth(1).inner_text().replace(",", ""))
    assert every > first > 0
    rows[0].locator("input").uncheck()
    assert total() == every - first
    browser.tab.locator("#sorting button", has_text="state").click()
    assert browser.listed()[0].startswith("broken")
