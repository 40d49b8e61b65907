// The page of a scene: its picture with the objects. Coordinates are scene pixels.

const NONE = 65535; // score of an object without one, shown at any minimum score; report/scene.py has the same constant
const BINS = 20;
const NORMAL_90 = 1.6448536269514722; // normal quantile of a 90 % interval, as in lcageo/calibration.py
const FEW = 2000; // with up to this many visible objects, outlines get a dark border
const NAMED = 150; // with up to this many, names
const PATH = 50; // objects per path: in Chromium, 500 take twice the time, and so does one
const MANY = 5000; // more than this take too long to redraw while the user drags

// A minimum of null stands for each class's own threshold.
const choice = { minimum: page.thresholds === null ? page.least : null, off: new Set(), key: "score", selected: -1 };
let objects, holes, levels, view, list, bins;
let earlier = null; // copy of the last drawing of very many objects, and its position
let shown = new Uint32Array(0); // indices of objects, in the list's order

start(async () => {
  const packed = page.objects;
  [objects, holes, levels] = await Promise.all([polygons(packed), polygons(page.holes), pictureLevels()]);
  [objects.ids, objects.labels, objects.scores, objects.areas] = await Promise.all([
    column(packed.ids, Int32Array), column(packed.labels, Uint16Array), column(packed.scores, Uint16Array),
    column(packed.areas, Float32Array),
  ]);
  bins = countBins();
  element("about").textContent = page.about;
  element("index").hidden = page.index === null;
  if (page.index !== null) element("index").href = page.index;
  element("cut").textContent = page.warnings.join("\n");
  element("cut").hidden = page.warnings.length === 0;
  makeClasses();
  makeSlider();
  makeCoverage();
  tableRows(element("provenance").querySelector("table"), page.provenance);
  sortButtons(["score", "area", "class", "id"], (key) => { choice.key = key; refresh(); });
  const pick = (position) => goTo(shown[position]);
  list = new List({ fill: fillRow, pick, open: pick });
  view = new View(element("canvas"), page.size[0], page.size[1], 32, { draw, click, open: () => {}, hover });
  refresh();
});

/** The picture at full size, half, a quarter and so on: scaling down in one step is slow and grainy. */
async function pictureLevels() {
  const whole = element("picture");
  await whole.decode();
  const made = [whole];
  for (let width = whole.naturalWidth; Math.max(width, (width * page.size[1]) / page.size[0]) > 1024;) {
    width = Math.ceil(width / 2);
    made.push(await createImageBitmap(whole, { resizeWidth: width, resizeQuality: "high" }));
  }
  return made;
}

// ---- what is shown ----

function isShown(index) {
  const label = objects.labels[index];
  return objects.scores[index] >= minimumOf(label) && !choice.off.has(label);
}

function minimumOf(label) {
  return choice.minimum ?? page.thresholds[label];
}

/** Updates list, counts and picture after a change of `choice`. */
function refresh() {
  const counts = new Uint32Array(page.classes.length), areas = new Float64Array(page.classes.length);
  const found = new Uint32Array(objects.count);
  const right = page.classes.map(() => [0, 0, 0, 0]);
  let count = 0;
  for (let index = 0; index < objects.count; index++) {
    if (!isShown(index)) continue;
    found[count++] = index;
    counts[objects.labels[index]]++;
    areas[objects.labels[index]] += objects.areas[index];
    addChances(right[objects.labels[index]], objects.labels[index], objects.scores[index]);
  }
  shown = found.slice(0, count);
  sort();
  element("shown").textContent = `${grouped(count)} of ${grouped(objects.count)} objects`;
  element("least").textContent = choice.minimum === null ? "each class's own" : (choice.minimum / 10000).toFixed(2);
  page.classes.forEach((one, label) => {
    const [, number, , sum, probable, histogram] = one.row.cells;
    probable.replaceChildren(...probablyRight(right[label], label, counts[label]));
    one.row.className = choice.off.has(label) ? "off" : "";
    number.textContent = grouped(counts[label]);
    sum.textContent = area(counts[label] > 0 ? areas[label] : NaN);
    drawHistogram(histogram.firstChild, bins.subarray(label * BINS, (label + 1) * BINS), one.colour, minimumOf(label));
  });
  drawHistogram(element("histogram"), allBins(), "#a9b2bd", choice.minimum ?? Math.min(...page.thresholds));
  list.update(count, choice.selected < 0 ? -1 : shown.indexOf(choice.selected));
  view.stir();
}

/** Chance of being right for each score of a class, as lcageo/calibration.py has it; null for a class without it. */
function chances(curve) {
  if (curve === null) return null;
  const sides = [0, -1, 1].map((side) => new Float64Array(10001).map((_, score) => {
    const s = Math.min(Math.max(score / 10000, 1e-6), 1 - 1e-6);
    const logOdds = curve.a * Math.log(s) - curve.b * Math.log1p(-s) + curve.c + side * NORMAL_90 * curve.spread;
    return 1 / (1 + Math.exp(-logOdds));
  }));
  return { likely: sides[0], low: sides[1], high: sides[2] };
}

/** Adds an object to the sums of its class: expected, variance, expected at both ends of the spread between data sets. */
function addChances(sums, label, score) {
  const chance = page.classes[label].chances;
  if (chance === null || score === NONE) return;
  const p = chance.likely[score];
  sums[0] += p;
  sums[1] += p * (1 - p);
  sums[2] += chance.low[score];
  sums[3] += chance.high[score];
}

/** "78 (70 to 84)" as text and element, or nothing for a class whose scores are not calibrated. */
function probablyRight([likely, variance, low, high], label, count) {
  if (page.classes[label].chances === null || count === 0) return [];
  const chance = variance * NORMAL_90 ** 2;
  const least = Math.max(0, likely - Math.sqrt(chance + (likely - low) ** 2));
  const most = Math.min(count, likely + Math.sqrt(chance + (high - likely) ** 2));
  const interval = `(${grouped(Math.floor(least))} to ${grouped(Math.ceil(most))})`;
  return [`${grouped(Math.round(likely))} `, node("span", "interval", interval)];
}

/** Sorts `shown`, which starts in descending order of score. */
function sort() {
  const { areas, labels, ids } = objects;
  const size = (index) => (Number.isNaN(areas[index]) ? -1 : areas[index]);
  if (choice.key === "area") shown.sort((a, b) => size(b) - size(a) || a - b);
  if (choice.key === "class") shown.sort((a, b) => labels[a] - labels[b] || a - b);
  if (choice.key === "id") shown.sort((a, b) => ids[a] - ids[b] || a - b);
}

/** Histogram of the scores of each class. */
function countBins() {
  const made = new Uint32Array(BINS * page.classes.length);
  for (let index = 0; index < objects.count; index++) {
    if (objects.scores[index] === NONE) continue;
    made[objects.labels[index] * BINS + Math.min(BINS - 1, Math.floor((objects.scores[index] / 10000) * BINS))]++;
  }
  return made;
}

function allBins() {
  const made = new Uint32Array(BINS);
  bins.forEach((count, index) => { if (!choice.off.has(Math.floor(index / BINS))) made[index % BINS] += count; });
  return made;
}

/** Bars from 0 to 1; those below the minimum score are faint. */
function drawHistogram(canvas, counts, colour, minimum) {
  const dense = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * dense;
  canvas.height = canvas.clientHeight * dense;
  const context = canvas.getContext("2d"), most = Math.max(1, ...counts), wide = canvas.width / counts.length;
  context.fillStyle = colour;
  counts.forEach((count, bin) => {
    const high = count === 0 ? 0 : Math.max(dense, (count / most) * canvas.height);
    context.globalAlpha = ((bin + 1) / counts.length) * 10000 > minimum ? 1 : 0.3;
    context.fillRect(bin * wide, canvas.height - high, Math.max(1, wide - dense), high);
  });
}

// ---- the side panel ----

function makeClasses() {
  const body = element("classes").tBodies[0];
  element("right").hidden = page.classes.every((one) => one.calibration === null);
  page.classes.forEach((one, label) => {
    one.chances = chances(one.calibration);
    one.row = body.insertRow();
    const box = node("input"), text = node("label");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) choice.off.delete(label); else choice.off.add(label);
      refresh();
    });
    text.append(box, swatch(one.colour), node("span", "", one.name));
    text.title = one.name;
    one.row.insertCell().append(text);
    one.row.insertCell();
    one.row.insertCell().textContent = grouped(one.count);
    one.row.insertCell();
    one.row.insertCell().hidden = element("right").hidden;
    one.row.insertCell().append(node("canvas", "histogram"));
    one.box = box;
  });
  element("all").addEventListener("click", () => toggleAll(true));
  element("none").addEventListener("click", () => toggleAll(false));
}

function toggleAll(on) {
  page.classes.forEach((one, label) => {
    one.box.checked = on;
    if (on) choice.off.delete(label); else choice.off.add(label);
  });
  refresh();
}

function makeSlider() {
  const slider = element("slider");
  slider.value = page.least;
  slider.addEventListener("input", () => {
    choice.minimum = Number(slider.value);
    refresh();
  });
  element("by-score").hidden = objects.scores.every((score) => score === NONE);
}

function makeCoverage() {
  tableRows(element("coverage").querySelector("table"), page.coverage);
  page.reasons.forEach((reason, index) => {
    const item = node("li"), button = node("button", "", `Not read: ${reason || "part of the scene"}`);
    button.addEventListener("click", () => view.show(holes.boxes.subarray(4 * index, 4 * index + 4), 2));
    item.append(button);
    element("holes").append(item);
  });
}

function fillRow(row, position) {
  const index = shown[position], one = page.classes[objects.labels[index]];
  row.append(
    node("span", "id", objects.ids[index]), swatch(one.colour), node("span", "name", one.name),
    node("span", "score", score(index)), node("span", "area", area(objects.areas[index])),
  );
}

function score(index) {
  return objects.scores[index] === NONE ? "–" : (objects.scores[index] / 10000).toFixed(2);
}

/** Selects an object and centres the picture on it. */
function goTo(index) {
  choice.selected = index;
  view.show(objects.boxes.subarray(4 * index, 4 * index + 4), 4);
}
