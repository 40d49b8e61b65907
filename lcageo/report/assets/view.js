// A picture or map to zoom and pan, with scale bar, north arrow and tooltip.

/** A canvas showing a plane: `scale` is screen pixels per unit, (`left`, `top`) the point at the upper-left corner. */
class View {
  /** `draw(context, view)` draws; `click`, `open` and `hover` get (x, y) in the plane; `closest` limits the scale. */
  constructor(canvas, width, height, closest, { draw, click, open, hover }) {
    Object.assign(this, { canvas, width, height, closest, draw, click, open, hover, left: 0, top: 0, scale: 1, moving: false });
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

  /** Fits a box enlarged by `margin` to the screen, within the limits of the scale, and centres it. */
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

  /** Zooms about a fixed point on the screen. */
  zoom(factor, x = this.screenWidth / 2, y = this.screenHeight / 2) {
    const scale = this.limited(this.scale * factor);
    this.left += x / this.scale - x / scale;
    this.top += y / this.scale - y / scale;
    this.scale = scale;
    this.fitted = false;
    this.stir();
  }

  pan(x, y) {
    this.left -= x / this.scale;
    this.top -= y / this.scale;
    this.fitted = false;
    this.stir();
  }

  /** Redraws with `moving` true, and once more when nothing has moved for 150 ms. */
  stir() {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.moving = false;
      this.redraw();
    }, 150);
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
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1; // Firefox reports lines
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

/** A scale bar and a north arrow in the lower left corner. `metres` per unit along the screen's rows, or null. */
function drawMarks(context, view, metres, north) {
  const y = view.screenHeight - 16;
  let x = 16;
  const length = metres === null ? 0 : round((120 / view.scale) * metres);
  const pixels = metres === null ? 0 : (length / metres) * view.scale;
  context.save();
  context.fillStyle = "#181c2299";
  if (north !== null || metres !== null) context.fillRect(8, y - 52, (north === null ? 0 : 66) + pixels + 16, 60);
  context.fillStyle = context.strokeStyle = "#f0f0f0";
  context.font = "14px system-ui, sans-serif";
  if (north !== null) {
    drawArrow(context, x + 26, y - 22, north);
    x += 66;
  }
  if (metres !== null) {
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

/** An arrowhead that points to [right, down], with an N in front of its tip. */
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

/** Shows a tooltip at the pointer, over the map; null hides it. */
function showTip(text, x, y) {
  const tip = element("tip");
  tip.hidden = text === null;
  if (text === null) return;
  tip.textContent = text;
  const map = element("map");
  tip.style.left = `${Math.max(0, Math.min(x + 14, map.clientWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(0, Math.min(y + 14, map.clientHeight - tip.offsetHeight - 4))}px`;
}
