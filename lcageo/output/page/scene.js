// The page of a scene: its picture with what was found in it. Coordinates are scene pixels.

const NONE = 65535; // the score of an object without one: it is shown at any least score; scene_page.py has the same
const BINS = 20;
const FEW = 2000; // up to so many objects in sight, outlines get a dark line around
const NAMED = 150; // up to so many, names

const choice = { least: page.least, off: new Set(), key: "score", selected: -1 };
let objects, holes, levels, view, list, bins;
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
  element("cut").textContent = page.warnings.join("\n");
  element("cut").hidden = page.warnings.length === 0;
  makeClasses();
  makeSlider();
  makeCoverage();
  tableRows(element("provenance").querySelector("table"), page.provenance);
  sortButtons(["score", "area", "class", "id"], (key) => { choice.key = key; refresh(); });
  list = new List({ fill: fillRow, pick: (place) => goTo(shown[place]), open: (place) => goTo(shown[place]) });
  view = new View(element("canvas"), page.size[0], page.size[1], 32, { draw, click, open: () => {}, hover });
  refresh();
});

/** The picture at full size, half, a quarter: drawn smaller at once, it would be slow and grainy. */
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
  return objects.scores[index] >= choice.least && !choice.off.has(objects.labels[index]);
}

/** Brings list, counts and picture up to date with the choice. */
function refresh() {
  const counts = new Uint32Array(page.classes.length), areas = new Float64Array(page.classes.length);
  const found = new Uint32Array(objects.count);
  let count = 0;
  for (let index = 0; index < objects.count; index++) {
    if (!isShown(index)) continue;
    found[count++] = index;
    counts[objects.labels[index]]++;
    areas[objects.labels[index]] += objects.areas[index];
  }
  shown = found.slice(0, count);
  sort();
  element("shown").textContent = `${grouped(count)} of ${grouped(objects.count)} objects`;
  element("least").textContent = (choice.least / 10000).toFixed(2);
  page.classes.forEach((one, label) => {
    const [, number, , sum, histogram] = one.row.cells;
    one.row.className = choice.off.has(label) ? "off" : "";
    number.textContent = grouped(counts[label]);
    sum.textContent = area(counts[label] > 0 ? areas[label] : NaN);
    drawHistogram(histogram.firstChild, bins.subarray(label * BINS, (label + 1) * BINS), one.colour);
  });
  drawHistogram(element("histogram"), allBins(), "#a9b2bd");
  list.update(count, choice.selected < 0 ? -1 : shown.indexOf(choice.selected));
  view.redraw();
}

/** Objects come surest first. */
function sort() {
  const { areas, labels, ids } = objects;
  const size = (index) => (Number.isNaN(areas[index]) ? -1 : areas[index]);
  if (choice.key === "area") shown.sort((a, b) => size(b) - size(a) || a - b);
  if (choice.key === "class") shown.sort((a, b) => labels[a] - labels[b] || a - b);
  if (choice.key === "id") shown.sort((a, b) => ids[a] - ids[b] || a - b);
}

/** How many objects of each class have which score. */
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
  bins.forEach((count, place) => { if (!choice.off.has(Math.floor(place / BINS))) made[place % BINS] += count; });
  return made;
}

/** Bars from 0 to 1; those below the least score are faint. */
function drawHistogram(canvas, counts, colour) {
  const dense = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * dense;
  canvas.height = canvas.clientHeight * dense;
  const context = canvas.getContext("2d"), most = Math.max(1, ...counts), wide = canvas.width / counts.length;
  context.fillStyle = colour;
  counts.forEach((count, place) => {
    const high = count === 0 ? 0 : Math.max(dense, (count / most) * canvas.height);
    context.globalAlpha = ((place + 1) / counts.length) * 10000 > choice.least ? 1 : 0.3;
    context.fillRect(place * wide, canvas.height - high, Math.max(1, wide - dense), high);
  });
}

// ---- the side panel ----

function makeClasses() {
  const body = element("classes").tBodies[0];
  page.classes.forEach((one, label) => {
    one.row = body.insertRow();
    const box = node("input"), text = node("label");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) choice.off.delete(label); else choice.off.add(label);
      refresh();
    });
    text.append(box, swatch(one.colour), node("span", "", one.name));
    one.row.insertCell().append(text);
    one.row.insertCell();
    one.row.insertCell().textContent = grouped(one.count);
    one.row.insertCell();
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
  slider.value = choice.least;
  slider.addEventListener("input", () => {
    choice.least = Number(slider.value);
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

function fillRow(row, place) {
  const index = shown[place], one = page.classes[objects.labels[index]];
  row.append(
    node("span", "id", objects.ids[index]), swatch(one.colour), node("span", "name", one.name),
    node("span", "score", score(index)), node("span", "area", area(objects.areas[index])),
  );
}

function score(index) {
  return objects.scores[index] === NONE ? "–" : (objects.scores[index] / 10000).toFixed(2);
}

/** Shows an object in the middle of the picture. */
function goTo(index) {
  choice.selected = index;
  view.show(objects.boxes.subarray(4 * index, 4 * index + 4), 6);
}

// ---- the picture ----

function draw(context) {
  drawPicture(context);
  const inSight = shown.filter((index) => touches(objects, index));
  const large = drawSmall(context, inSight);
  if (inSight.length <= FEW) strokeAll(context, large, () => "#181c22", 4);
  strokeAll(context, large, (label) => page.classes[label].colour, inSight.length <= FEW ? 2 : 1);
  drawHoles(context);
  drawSelected(context);
  if (inSight.length <= NAMED) drawNames(context, large);
  drawMarks(context, view, page.metres, page.north);
}

function drawPicture(context) {
  const wanted = page.size[0] * view.scale * (window.devicePixelRatio || 1);
  const picture = levels.findLast((level) => (level.naturalWidth ?? level.width) >= wanted) ?? levels[0];
  const pixel = (page.size[0] * view.scale) / levels[0].naturalWidth;
  context.imageSmoothingEnabled = pixel < 3; // nearer, the pixels are what there is to see
  context.drawImage(picture, view.x(0), view.y(0), page.size[0] * view.scale, page.size[1] * view.scale);
}

function touches(shapes, index) {
  const { boxes } = shapes;
  return view.x(boxes[4 * index + 2]) >= 0 && view.y(boxes[4 * index + 3]) >= 0 &&
    view.x(boxes[4 * index]) <= view.screenWidth && view.y(boxes[4 * index + 1]) <= view.screenHeight;
}

/** Draws objects of less than four screen pixels as dots; returns the others, by class. */
function drawSmall(context, inSight) {
  const large = page.classes.map(() => []), { boxes, labels } = objects;
  const small = page.classes.map(() => []);
  for (const index of inSight) {
    const side = Math.max(boxes[4 * index + 2] - boxes[4 * index], boxes[4 * index + 3] - boxes[4 * index + 1]);
    (side * view.scale < 4 ? small : large)[labels[index]].push(index);
  }
  small.forEach((some, label) => {
    context.fillStyle = page.classes[label].colour;
    for (const index of some) {
      const x = view.x((boxes[4 * index] + boxes[4 * index + 2]) / 2);
      const y = view.y((boxes[4 * index + 1] + boxes[4 * index + 3]) / 2);
      context.fillRect(x - 1.5, y - 1.5, 3, 3);
    }
  });
  return large;
}

function strokeAll(context, byLabel, colour, width) {
  context.lineWidth = width;
  byLabel.forEach((some, label) => {
    context.strokeStyle = colour(label);
    for (let first = 0; first < some.length; first += 500) { // longer paths take more than their share of time
      context.beginPath();
      for (const index of some.slice(first, first + 500)) trace(context, objects, index);
      context.stroke();
    }
  });
}

function trace(context, shapes, index) {
  for (let ring = shapes.firstRing[index]; ring < shapes.firstRing[index + 1]; ring++) {
    const first = shapes.firstCorner[ring], end = shapes.firstCorner[ring + 1];
    context.moveTo(view.x(shapes.xs[first]), view.y(shapes.ys[first]));
    for (let i = first + 1; i < end; i++) context.lineTo(view.x(shapes.xs[i]), view.y(shapes.ys[i]));
    context.closePath();
  }
}

function drawHoles(context) {
  context.save();
  context.beginPath();
  for (let index = 0; index < holes.count; index++) if (touches(holes, index)) trace(context, holes, index);
  context.fillStyle = "#d55e0055";
  context.fill();
  context.strokeStyle = "#ffffff";
  context.lineWidth = 1;
  context.setLineDash([6, 4]);
  context.stroke();
  context.restore();
}

/** A frame around the selected object, at a distance that leaves it in sight. */
function drawSelected(context) {
  if (choice.selected < 0 || !isShown(choice.selected)) return;
  const [x1, y1, x2, y2] = objects.boxes.subarray(4 * choice.selected, 4 * choice.selected + 4);
  const frame = [view.x(x1) - 6, view.y(y1) - 6, (x2 - x1) * view.scale + 12, (y2 - y1) * view.scale + 12];
  for (const [colour, width] of [["#000000", 5], ["#ffffff", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(...frame);
  }
}

/** Class and score above objects, the surest first, where no other name is. */
function drawNames(context, byLabel) {
  const taken = [], high = 17, { boxes } = objects;
  context.font = "12px system-ui, sans-serif";
  for (const index of byLabel.flat().sort((a, b) => a - b)) {
    const one = page.classes[objects.labels[index]];
    const text = `${one.name} ${score(index)}`, wide = context.measureText(text).width + 11;
    const x = view.x(boxes[4 * index]) - 1, above = view.y(boxes[4 * index + 1]) - high - 1;
    const y = above >= 0 ? above : view.y(boxes[4 * index + 3]) + 1;
    if (taken.some(([left, top, right]) => x < right && left < x + wide && y < top + high && top < y + high)) continue;
    taken.push([x, y, x + wide]);
    context.fillStyle = "#181c22";
    context.fillRect(x, y, wide, high);
    context.fillStyle = one.colour;
    context.fillRect(x, y, 3, high);
    context.fillStyle = "#f0f0f0";
    context.fillText(text, x + 7, y + 13);
  }
}

// ---- pointing ----

/** The smallest object that is shown at a point, or -1. */
function objectAt(x, y) {
  const near = 3 / view.scale, { boxes } = objects;
  let best = -1, least = Infinity;
  for (const index of shown) {
    const x1 = boxes[4 * index], y1 = boxes[4 * index + 1], x2 = boxes[4 * index + 2], y2 = boxes[4 * index + 3];
    if (x < x1 - near || x > x2 + near || y < y1 - near || y > y2 + near) continue;
    if ((x2 - x1) * (y2 - y1) < least) {
      least = (x2 - x1) * (y2 - y1);
      best = index;
    }
  }
  return best;
}

function click(x, y) {
  choice.selected = objectAt(x, y);
  const place = choice.selected < 0 ? -1 : shown.indexOf(choice.selected);
  if (place >= 0) list.select(place); else list.update(shown.length, -1);
  view.redraw();
}

function hover(x, y) {
  const index = x === null ? -1 : objectAt(x, y);
  if (index < 0) {
    showTip(null);
  } else {
    const name = page.classes[objects.labels[index]].name;
    showTip(`${name}, score ${score(index)}\n${area(objects.areas[index])}, id ${objects.ids[index]}`, view.x(x), view.y(y));
  }
  element("place").textContent = x === null ? "" : placeText(x, y);
}

function placeText(x, y) {
  const pixel = `column ${Math.floor(x)}, row ${Math.floor(y)}`;
  if (page.affine === null) return pixel;
  const [a, b, c, d, e, f] = page.affine, digits = Math.abs(a) + Math.abs(b) < 0.01 ? 6 : 1;
  return `${(a * x + b * y + c).toFixed(digits)}, ${(d * x + e * y + f).toFixed(digits)} (${page.crs})\n${pixel}`;
}
