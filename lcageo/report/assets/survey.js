// The index of a survey: a map of its scenes' footprints and a list of them. Coordinates are metres, y downwards.

const STATES = { done: "#56b4e9", holes: "#e69f00", failed: "#d55e00", waiting: "#aaaaaa" };

const choice = { off: new Set(), key: "name", find: "", selected: null };
let view, list, shown = [];

start(async () => {
  element("about").textContent = page.about;
  await Promise.all(page.scenes.map(loadThumbnail));
  page.scenes.forEach((scene, number) => { scene.number = number; });
  makeClasses();
  tableRows(element("provenance").querySelector("table"), page.provenance);
  sortButtons(["name", "objects", "state"], (key) => { choice.key = key; refresh(); });
  element("find").addEventListener("input", (event) => {
    choice.find = event.target.value.toLowerCase();
    refresh();
  });
  list = new List({
    fill: fillRow, pick: (position) => goTo(shown[position]), open: (position) => openPage(shown[position]),
  });
  view = new View(element("canvas"), page.size[0], page.size[1], 20, {
    draw, click, open: (x, y) => openPage(sceneAt(x, y)), hover,
  });
  refresh();
});

async function loadThumbnail(scene) {
  if (scene.thumbnail === null) return;
  scene.picture = new Image();
  scene.picture.src = scene.thumbnail;
  await scene.picture.decode();
}

/** Number of objects in a scene, of the classes that are switched on. */
function count(scene) {
  return scene.counts.reduce((sum, number, label) => sum + (choice.off.has(label) ? 0 : number), 0);
}

function refresh() {
  shown = page.scenes.filter((scene) => scene.name.toLowerCase().includes(choice.find));
  if (choice.key === "objects") shown.sort((a, b) => count(b) - count(a) || a.number - b.number);
  if (choice.key === "state") {
    const order = ["failed", "holes", "waiting", "done"];
    shown.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.number - b.number);
  }
  const sum = shown.reduce((all, scene) => all + count(scene), 0);
  const unique = page.unique === null ? "" : `; ${grouped(page.unique)} unique in the survey`;
  element("shown").textContent =
    `${grouped(sum)} found; ${grouped(shown.length)} of ${grouped(page.scenes.length)} scenes listed${unique}`;
  list.update(shown.length, shown.indexOf(choice.selected));
  view.redraw();
}

function makeClasses() {
  const body = element("classes").tBodies[0];
  page.classes.forEach((one, label) => {
    const row = body.insertRow(), box = node("input"), text = node("label");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) choice.off.delete(label); else choice.off.add(label);
      row.className = box.checked ? "" : "off";
      refresh();
    });
    text.append(box, swatch(one.colour), node("span", "", one.name));
    text.title = one.name;
    row.insertCell().append(text);
    const counts = page.scenes.map((scene) => scene.counts[label]);
    row.insertCell().textContent = grouped(counts.reduce((sum, number) => sum + number, 0));
    row.insertCell().textContent = grouped(counts.filter((number) => number > 0).length);
  });
}

function fillRow(row, position) {
  const scene = shown[position], name = node(scene.href === null ? "span" : "a", "name", scene.name);
  if (scene.href !== null) name.href = scene.href;
  row.title = [scene.name, ...scene.notes].join("\n");
  row.append(swatch(STATES[scene.state]), name, node("span", "state", scene.state), node("span", "score", grouped(count(scene))));
}

function goTo(scene) {
  choice.selected = scene;
  if (scene.corners === null) {
    view.redraw();
    return;
  }
  const xs = scene.corners.map(([x]) => x), ys = scene.corners.map(([, y]) => y);
  view.show([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], 2);
}

function openPage(scene) {
  if (scene !== null && scene.href !== null) location.href = scene.href;
}

// ---- the map ----

function draw(context) {
  for (const scene of shown) if (scene.picture !== undefined) drawThumbnail(context, scene);
  for (const scene of shown) if (scene.corners !== null) drawDots(context, scene);
  for (const scene of shown) {
    if (scene.corners === null) continue;
    outline(context, scene, scene === choice.selected ? "#ffffff" : STATES[scene.state], scene === choice.selected ? 4 : 1.5);
  }
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  for (const scene of shown) if (scene.corners !== null) drawCount(context, scene);
  context.textAlign = "start";
  drawMarks(context, view, page.size[0] > 1 ? 1 : null, page.size[0] > 1 ? [0, -1] : null);
}

/** Draws the picture by its upper-left, upper-right and lower-left corners, which also fits rotated scenes. */
function drawThumbnail(context, scene) {
  const [[x, y], [right, across], , [left, below]] = scene.corners;
  context.save();
  context.globalCompositeOperation = "lighten"; // black is nodata and must not hide other scenes
  context.transform(
    (right - x) * view.scale, (across - y) * view.scale, (left - x) * view.scale, (below - y) * view.scale,
    view.x(x), view.y(y),
  );
  context.drawImage(scene.picture, 0, 0, 1, 1);
  context.restore();
}

/** Draws where objects of the classes that are switched on are; the more in one place, the larger the dot. */
function drawDots(context, scene) {
  const [[x, y], [right, across], , [left, below]] = scene.corners;
  for (const [column, row, label, count] of scene.dots) {
    if (choice.off.has(label)) continue;
    context.beginPath();
    context.arc(
      view.x(x + (right - x) * column + (left - x) * row), view.y(y + (across - y) * column + (below - y) * row),
      Math.min(1.5 + Math.sqrt(count), 8), 0, 2 * Math.PI,
    );
    context.fillStyle = page.classes[label].colour;
    context.fill();
  }
}

function outline(context, scene, colour, width) {
  context.beginPath();
  for (const [x, y] of scene.corners) context.lineTo(view.x(x), view.y(y));
  context.closePath();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(scene.state === "done" ? [] : [6, 4]);
  context.stroke();
  context.setLineDash([]);
}

/** Draws the number of objects where it fits. */
function drawCount(context, scene) {
  const xs = scene.corners.map(([x]) => view.x(x)), ys = scene.corners.map(([, y]) => view.y(y));
  const text = grouped(count(scene)), wide = context.measureText(text).width + 8;
  if (Math.max(...xs) - Math.min(...xs) < wide + 8 || Math.max(...ys) - Math.min(...ys) < 26) return;
  const x = xs.reduce((a, b) => a + b) / 4, y = ys.reduce((a, b) => a + b) / 4;
  context.fillStyle = "#181c22cc";
  context.fillRect(x - wide / 2, y - 9, wide, 18);
  context.fillStyle = "#f0f0f0";
  context.fillText(text, x, y + 5);
}

/** The topmost scene at a point, or null. */
function sceneAt(x, y) {
  return shown.findLast((scene) => scene.corners !== null && isInside(scene.corners, x, y)) ?? null;
}

function isInside(corners, x, y) {
  let inside = false;
  corners.forEach(([x1, y1], index) => {
    const [x2, y2] = corners[(index + 1) % corners.length];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}

function click(x, y) {
  choice.selected = sceneAt(x, y);
  const position = shown.indexOf(choice.selected);
  if (position >= 0) list.select(position); else list.update(shown.length, -1);
  view.redraw();
}

function hover(x, y) {
  const scene = x === null ? null : sceneAt(x, y);
  if (scene === null) {
    showTip(null);
    return;
  }
  const page_ = scene.href === null ? [] : ["double-click to open its page"];
  showTip([scene.name, `${scene.state}, ${grouped(count(scene))} found`, ...scene.notes, ...page_].join("\n"), view.x(x), view.y(y));
}
