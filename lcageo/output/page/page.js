// What the pages of a scene and of a survey share: reading their data, zooming and moving, long lists, numbers as text.
// Text of layers reaches the page by textContent alone, so that none of it is ever taken for markup.
"use strict";

const UNIT = 16; // steps of a packed coordinate in a pixel; packed.py has the same

const page = JSON.parse(element("data").textContent);

function element(id) {
  return document.getElementById(id);
}

function node(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function swatch(colour) {
  const made = node("span", "swatch");
  made.style.background = colour;
  return made;
}

// ---- packed columns ----

/** Numbers that packed.py packed. */
async function column(text, Numbers) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old for the page; Firefox 113, Chrome 80 and Safari 16.4 can show it.");
  }
  const deflated = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Numbers(await new Response(stream).arrayBuffer());
}

/** Polygons of packed.py: corners in pixels, where rings and corners begin, and boxes (x1, y1, x2, y2 of each). */
async function polygons(packed) {
  const [rings, sizes, steps] = await Promise.all([
    column(packed.rings, Uint32Array), column(packed.sizes, Uint32Array), column(packed.steps, Int32Array),
  ]);
  const xs = new Float32Array(steps.length / 2), ys = new Float32Array(steps.length / 2);
  for (let i = 0, x = 0, y = 0; i < xs.length; i++) {
    x += steps[2 * i];
    y += steps[2 * i + 1];
    xs[i] = x / UNIT;
    ys[i] = y / UNIT;
  }
  const made = { count: rings.length, firstRing: starts(rings), firstCorner: starts(sizes), xs, ys };
  made.boxes = new Float32Array(4 * made.count);
  for (let index = 0; index < made.count; index++) {
    let x1 = Infinity, y1 = Infinity, x2 = -Infinity, y2 = -Infinity;
    const end = made.firstCorner[made.firstRing[index + 1]];
    for (let i = made.firstCorner[made.firstRing[index]]; i < end; i++) {
      x1 = Math.min(x1, xs[i]);
      y1 = Math.min(y1, ys[i]);
      x2 = Math.max(x2, xs[i]);
      y2 = Math.max(y2, ys[i]);
    }
    made.boxes.set([x1, y1, x2, y2], 4 * index);
  }
  return made;
}

function starts(counts) {
  const made = new Uint32Array(counts.length + 1);
  counts.forEach((count, index) => { made[index + 1] = made[index] + count; });
  return made;
}

// ---- numbers as text ----

function grouped(number) {
  return number.toLocaleString("en");
}

/** Square metres in the unit that reads best. */
function area(m2) {
  if (Number.isNaN(m2)) return "–";
  return m2 >= 1e6 ? `${rounded(m2 / 1e6)} km²` : `${rounded(m2)} m²`;
}

function rounded(number) {
  return number.toLocaleString("en", { maximumFractionDigits: number < 10 ? 2 : number < 1000 ? 1 : 0 });
}

/** The largest of 1, 2 or 5 times a power of ten that is not above a number. */
function round(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return Math.max(...[1, 2, 5].filter((step) => step * power <= number * (1 + 1e-9)).map((step) => step * power));
}

function tableRows(table, rows) {
  for (const [name, value] of rows) {
    const row = table.insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = value;
  }
}

// ---- a picture or map to zoom and move ----

/** A canvas on a plane: `scale` screen pixels for a unit; `left`, `top` is the plane's point in its upper-left corner. */
class View {
  /** `draw(context, view)` draws; `click(x, y)` and `hover(x, y)` get points of the plane; `closest` limits the scale. */
  constructor(canvas, width, height, closest, { draw, click, open, hover }) {
    Object.assign(this, { canvas, width, height, closest, draw, click, open, hover, left: 0, top: 0, scale: 1 });
    this.context = canvas.getContext("2d");
    this.pointers = new Map();
    this.moved = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", (event) => this.open(...this.at(event)));
    canvas.addEventListener("keydown", (event) => this.key(event));
    element("closer").addEventListener("click", () => this.zoom(1.6));
    element("farther").addEventListener("click", () => this.zoom(1 / 1.6));
    element("whole").addEventListener("click", () => this.fit());
    this.resize();
    this.fit();
  }

  get screenWidth() { return this.canvas.clientWidth; }
  get screenHeight() { return this.canvas.clientHeight; }
  get wholeScale() { return Math.min(this.screenWidth / this.width, this.screenHeight / this.height) || 1; }

  resize() {
    const dense = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.screenWidth * dense);
    this.canvas.height = Math.round(this.screenHeight * dense);
    if (this.fitted) this.fit();
    this.redraw();
  }

  fit() {
    this.show([0, 0, this.width, this.height], 1);
    this.fitted = true;
  }

  /** Centres a box, `margin` times as large as itself on the screen, as far as the scale's limits allow. */
  show([x1, y1, x2, y2], margin) {
    const wanted = Math.min(this.screenWidth / (x2 - x1), this.screenHeight / (y2 - y1)) / margin;
    this.scale = this.limited(wanted);
    this.left = (x1 + x2 - this.screenWidth / this.scale) / 2;
    this.top = (y1 + y2 - this.screenHeight / this.scale) / 2;
    this.fitted = false;
    this.redraw();
  }

  limited(scale) {
    return Math.max(this.wholeScale / 2, Math.min(Math.max(this.closest, this.wholeScale), scale));
  }

  /** Zooms about a point of the screen, which stays where it is. */
  zoom(factor, x = this.screenWidth / 2, y = this.screenHeight / 2) {
    const scale = this.limited(this.scale * factor);
    this.left += x / this.scale - x / scale;
    this.top += y / this.scale - y / scale;
    this.scale = scale;
    this.fitted = false;
    this.redraw();
  }

  pan(x, y) {
    this.left -= x / this.scale;
    this.top -= y / this.scale;
    this.fitted = false;
    this.redraw();
  }

  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      const dense = this.canvas.width / (this.screenWidth || 1);
      this.context.setTransform(dense, 0, 0, dense, 0, 0);
      this.context.clearRect(0, 0, this.screenWidth, this.screenHeight);
      this.draw(this.context, this);
    });
  }

  x(x) { return (x - this.left) * this.scale; }
  y(y) { return (y - this.top) * this.scale; }

  at(event) {
    const frame = this.canvas.getBoundingClientRect();
    return [(event.clientX - frame.left) / this.scale + this.left, (event.clientY - frame.top) / this.scale + this.top];
  }

  wheel(event) {
    event.preventDefault();
    const frame = this.canvas.getBoundingClientRect();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1; // Firefox counts lines
    const step = Math.max(-120, Math.min(120, event.deltaY * lines));
    this.zoom(1.4 ** (-step / 100), event.clientX - frame.left, event.clientY - frame.top);
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    if (this.pointers.size === 0) this.moved = 0;
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) {
      this.hover(...this.at(event));
      return;
    }
    const now = [event.clientX, event.clientY];
    this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    this.canvas.classList.add("dragged");
    if (other === undefined) {
      if (this.moved > 3) this.pan(now[0] - before[0], now[1] - before[1]);
      return;
    }
    const frame = this.canvas.getBoundingClientRect();
    const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
    this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    this.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2 - frame.left, (now[1] + other[1]) / 2 - frame.top);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    this.canvas.classList.remove("dragged");
    if (this.moved <= 3 && this.pointers.size === 0) this.click(...this.at(event));
  }

  key(event) {
    const step = 80;
    const actions = {
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0),
      ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoom(1.6), "=": () => this.zoom(1.6), "-": () => this.zoom(1 / 1.6), 0: () => this.fit(),
    };
    if (event.ctrlKey || event.metaKey || actions[event.key] === undefined) return;
    event.preventDefault();
    actions[event.key]();
  }
}

/** A scale bar and a north arrow in the lower left corner. `metres` of a unit along the screen's rows, or null. */
function drawMarks(context, view, metres, north) {
  const y = view.screenHeight - 16;
  let x = 16;
  context.save();
  context.fillStyle = context.strokeStyle = "#f0f0f0";
  context.shadowColor = "#000";
  context.shadowBlur = 4;
  context.font = "14px system-ui, sans-serif";
  if (north !== null) {
    drawArrow(context, x + 26, y - 20, north);
    x += 66;
  }
  if (metres !== null) {
    const length = round((120 / view.scale) * metres);
    const pixels = (length / metres) * view.scale;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, y - 8);
    context.lineTo(x, y);
    context.lineTo(x + pixels, y);
    context.lineTo(x + pixels, y - 8);
    context.stroke();
    context.fillText(length >= 1000 ? `${length / 1000} km` : `${Number(length.toPrecision(6))} m`, x + 6, y - 6);
  }
  context.restore();
}

/** A dart that points to [right, down], with an N before its tip. */
function drawArrow(context, x, y, [right, down]) {
  const at = (along, across) => [x + right * along - down * across, y + down * along + right * across];
  context.beginPath();
  for (const corner of [at(13, 0), at(-13, 9), at(-7, 0), at(-13, -9)]) context.lineTo(...corner);
  context.fill();
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText("N", ...at(22, 0));
  context.textAlign = "start";
  context.textBaseline = "alphabetic";
}

/** Text by the pointer, over the map; null hides it. */
function showTip(text, x, y) {
  const tip = element("tip");
  tip.hidden = text === null;
  if (text === null) return;
  tip.textContent = text;
  const map = element("map");
  tip.style.left = `${Math.max(0, Math.min(x + 14, map.clientWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(0, Math.min(y + 14, map.clientHeight - tip.offsetHeight - 4))}px`;
}

// ---- a list of any length ----

/** Rows in #list, of which only those in sight exist. */
class List {
  /** `fill(row, place)` gives a row its content; `pick(place)` is called for the row that the user goes to. */
  constructor({ fill, pick, open }) {
    Object.assign(this, { root: element("list"), fill, pick, open, count: 0, selected: -1 });
    this.root.addEventListener("scroll", () => this.render());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row !== null && event.target.closest("a") === null) this.go(Number(row.dataset.place));
    });
    new ResizeObserver(() => this.render()).observe(this.root);
  }

  /** Shows so many rows, with one of them selected, or none (-1). */
  update(count, selected) {
    this.count = count;
    this.selected = selected;
    element("spacer").style.height = `${count * List.ROW}px`;
    this.render();
  }

  select(place) {
    this.selected = place;
    const top = place * List.ROW;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    const above = top + List.ROW - this.root.clientHeight;
    if (above > this.root.scrollTop) this.root.scrollTop = above;
    this.render();
  }

  go(place) {
    if (place < 0 || place >= this.count) return;
    this.select(place);
    this.pick(place);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (event.key === "Enter" && event.target === this.root && this.selected >= 0) this.open(this.selected);
    if (step === undefined) return;
    event.preventDefault();
    this.go(Math.max(0, Math.min(this.count - 1, this.selected + step)));
  }

  render() {
    for (const row of this.root.querySelectorAll(".row")) row.remove();
    const first = Math.max(0, Math.floor(this.root.scrollTop / List.ROW) - 4);
    const last = Math.min(this.count, first + Math.ceil(this.root.clientHeight / List.ROW) + 8);
    for (let place = first; place < last; place++) {
      const row = node("div", "row");
      row.id = `row-${place}`;
      row.dataset.place = place;
      row.style.top = `${place * List.ROW}px`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", place === this.selected);
      this.fill(row, place);
      this.root.append(row);
    }
    this.root.setAttribute("aria-activedescendant", this.selected < 0 ? "" : `row-${this.selected}`);
  }
}
List.ROW = 24; // pixels; page.css has the same

/** Buttons that say by what a list is sorted; `sort(key)` is called with the one that is pressed. */
function sortButtons(keys, sort) {
  for (const key of keys) {
    const button = node("button", "", key);
    button.setAttribute("aria-pressed", key === keys[0]);
    button.addEventListener("click", () => {
      for (const other of element("sorting").children) other.setAttribute("aria-pressed", other === button);
      sort(key);
    });
    element("sorting").append(button);
  }
}

/** Runs a page; what goes wrong is shown in place of it. */
function start(main) {
  main().then(
    () => document.body.classList.remove("loading"),
    (error) => {
      element("trouble").textContent = `The page cannot be shown: ${error.message}`;
      throw error;
    },
  );
}
