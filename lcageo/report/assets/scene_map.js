// The picture on a scene's page, what is drawn over it, and the pointer.

function draw(context) {
  drawPicture(context);
  if (view.moving && earlier !== null) {
    const { canvas, left, top, scale } = earlier, factor = view.scale / scale;
    context.drawImage(canvas, view.x(left), view.y(top), view.screenWidth * factor, view.screenHeight * factor);
  } else {
    drawObjects(context);
  }
  drawHoles(context);
  drawSelected(context);
  drawMarks(context, view, page.metres, page.north);
}

/** Draws the visible objects; of very many, keeps a copy to show while the picture moves. */
function drawObjects(context) {
  const inSight = shown.filter((index) => touches(objects, index));
  if (inSight.length <= MANY) {
    earlier = null;
    drawSome(context, inSight);
    return;
  }
  const { left, top, scale } = view, canvas = new OffscreenCanvas(view.canvas.width, view.canvas.height);
  const copy = canvas.getContext("2d");
  copy.setTransform(context.getTransform());
  drawSome(copy, inSight);
  earlier = { canvas, left, top, scale };
  context.drawImage(canvas, 0, 0, view.screenWidth, view.screenHeight);
}

function drawSome(context, inSight) {
  const large = drawSmall(context, inSight);
  if (inSight.length <= FEW) strokeAll(context, large, () => "#181c22", 4);
  strokeAll(context, large, (label) => page.classes[label].colour, inSight.length <= FEW ? 2 : 1);
  if (inSight.length <= NAMED) drawNames(context, large);
}

function drawPicture(context) {
  const wanted = page.size[0] * view.scale * (window.devicePixelRatio || 1);
  const picture = levels.findLast((level) => (level.naturalWidth ?? level.width) >= wanted) ?? levels[0];
  const pixel = (page.size[0] * view.scale) / levels[0].naturalWidth;
  context.imageSmoothingEnabled = pixel < 3; // close up, show the raw pixels
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
    for (let first = 0; first < some.length; first += PATH) {
      context.beginPath();
      for (const index of some.slice(first, first + PATH)) trace(context, objects, index);
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

/** A frame around the selected object, far enough out to leave it visible. */
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

/** Class and score above objects, the highest scores first, where no other name is. */
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

/** The smallest shown object at a point, or -1. */
function objectAt(x, y) {
  const near = 3 / view.scale, { boxes } = objects;
  let best = -1, smallest = Infinity;
  for (const index of shown) {
    const x1 = boxes[4 * index], y1 = boxes[4 * index + 1], x2 = boxes[4 * index + 2], y2 = boxes[4 * index + 3];
    if (x < x1 - near || x > x2 + near || y < y1 - near || y > y2 + near) continue;
    if ((x2 - x1) * (y2 - y1) < smallest) {
      smallest = (x2 - x1) * (y2 - y1);
      best = index;
    }
  }
  return best;
}

function click(x, y) {
  choice.selected = objectAt(x, y);
  const position = choice.selected < 0 ? -1 : shown.indexOf(choice.selected);
  if (position >= 0) list.select(position); else list.update(shown.length, -1);
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
  element("place").textContent = x === null ? "" : positionText(x, y);
}

function positionText(x, y) {
  const pixel = `column ${Math.floor(x / page.pixel[0])}, row ${Math.floor(y / page.pixel[1])}`;
  if (page.affine === null) return pixel;
  const [a, b, c, d, e, f] = page.affine, digits = Math.abs(a) + Math.abs(b) < 0.01 ? 6 : 1;
  return `${(a * x + b * y + c).toFixed(digits)}, ${(d * x + e * y + f).toFixed(digits)} (${page.crs})\n${pixel}`;
}
