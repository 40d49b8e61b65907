// Shared by the pages of scenes and surveys, loaded first: reading the data, and formatting numbers.
// Text from layers is set through textContent only, so that it is never parsed as markup.
"use strict";

const UNIT = 16; // steps of a packed coordinate per pixel; packed_columns.py has the same constant

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

/** Unpacks numbers that packed_columns.py packed. */
async function column(text, Numbers) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old for the page; use Firefox 113, Chrome 80, Safari 16.4 or newer.");
  }
  const deflated = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Numbers(await new Response(stream).arrayBuffer());
}

/** Unpacks polygons: corners in pixels, where rings and corners start, and boxes (x1, y1, x2, y2 of each). */
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

/** Runs a page; if that fails, shows the error instead. */
function start(main) {
  main().then(
    () => document.body.classList.remove("loading"),
    (error) => {
      element("trouble").textContent = `The page cannot be shown: ${error.message}`;
      throw error;
    },
  );
}
