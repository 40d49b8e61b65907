"""Assignments and their parts as plain loops, a reference for the fast ones, and small random scenes."""

import math
import statistics

import numpy as np
import torch

from lcageo.detector.assign import RESCUED_QUALITY, Places, anchor_places, point_places
from lcageo.detector.truth import Truth
from lcageo.network_config import STRIDES

CLASSES = 3
BACKGROUND, IGNORED = -1, -2
FCOS_LIMITS = [0, 64, 128, 256, 512, math.inf]

Box = list[float]


def level_maps(height: int, width: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.zeros(math.ceil(height / s), math.ceil(width / s), dtype=dtype) for s in STRIDES]


def random_scene(seed: int, *, of_anchors: bool = False) -> tuple[Places, Truth, np.random.Generator]:
    """A tiny image with 0 to 6 objects, from 2 px to its full size; many touch cell borders, nest or coincide."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.choice([64, 96, 128], 2))
    boxes: list[Box] = []
    for _ in range(rng.integers(0, 7)):
        w, h = (min(float(rng.choice([2, 3, 8, 20, 40, 70, 128])), limit) for limit in (width, height))
        x, y = (float(rng.integers(0, 2 * room + 1)) / 2 for room in (width - w, height - h))
        boxes.append([x, y, x + w, y + h])
        if rng.random() < 0.2:
            boxes.append(boxes[-1])
    boxes_xyxy = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    labels = torch.from_numpy(rng.integers(0, CLASSES, len(boxes)))
    maps = level_maps(height, width)
    places = anchor_places(maps) if of_anchors else point_places(maps)
    return places, Truth(boxes_xyxy, labels, torch.ones(CLASSES, dtype=torch.bool)), rng


def slow_iou(a: Box, b: Box) -> float:
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    area_a, area_b = (max(c[2] - c[0], 0) * max(c[3] - c[1], 0) for c in (a, b))
    return shared / (area_a + area_b - shared) if shared else 0.0


def slow_inside(point: list[float], box: Box) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def slow_centerness(point: list[float], box: Box) -> float:
    if not slow_inside(point, box):
        return 0.0
    left, up, right, down = point[0] - box[0], point[1] - box[1], box[2] - point[0], box[3] - point[1]
    return math.sqrt(min(left, right) / max(left, right) * min(up, down) / max(up, down))


def slow_best(values: list[float], count: int) -> list[int]:
    """Indices of the highest values; of equal ones, the first."""
    return sorted(range(len(values)), key=lambda n: (-values[n], n))[:count]


def slow_settle(wanted: list[set[int]], preference: list[list[float]], places: int) -> list[int]:
    """Assigns locations to objects; `wanted` has the locations that each object wants."""
    objects = [BACKGROUND] * places
    for n in range(places):
        rivals = [m for m, wants in enumerate(wanted) if n in wants]
        if rivals:
            objects[n] = max(rivals, key=lambda m: (preference[m][n], -m))
    return objects


def slow_rescue(objects: list[int], cost: list[list[float]]) -> tuple[list[int], set[int]]:
    objects, rescued = list(objects), set()
    while True:
        lost = [m for m in range(len(cost)) if m not in objects]
        free = [n for n, m in enumerate(objects) if m < 0 or objects.count(m) > 1]
        if not lost or not free:
            return objects, rescued
        bids: dict[int, list[tuple[float, int]]] = {}
        for m in lost:
            place = min(free, key=lambda n: (cost[m][n], n))
            bids.setdefault(place, []).append((cost[m][place], m))
        for place, bidders in bids.items():
            objects[place] = min(bidders)[1]
            rescued.add(place)


def slow_distance_to_home(places: Places, box: Box) -> list[float]:
    """Distance from the object's centre to every point, plus 100,000 px for each level away from its own."""
    side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    home = min(range(len(STRIDES)), key=lambda i: abs(math.log2(side / (8 * STRIDES[i]))))
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return [
        abs(int(level) - home) * 1e5 + math.sqrt((px - x) ** 2 + (py - y) ** 2)
        for (px, py), level in zip(places.points_xy.tolist(), places.levels, strict=True)
    ]


def slow_anchors(places: Places, boxes: list[Box]) -> list[int]:
    iou = [[slow_iou(box, anchor) for anchor in places.anchors_xyxy.tolist()] for box in boxes]
    number = len(places.points_xy)
    wanted = [{n for n in range(number) if row[n] >= 0.5} for row in iou]
    objects = slow_settle(wanted, iou, number)
    for n in range(number):
        if objects[n] == BACKGROUND and any(row[n] >= 0.4 for row in iou):
            objects[n] = IGNORED
    cost = []
    for (x1, y1, x2, y2), row in zip(boxes, iou, strict=True):
        apart = [math.hypot(px - (x1 + x2) / 2, py - (y1 + y2) / 2) for px, py in places.points_xy.tolist()]
        cost.append([distance * 1e-6 - value for distance, value in zip(apart, row, strict=True)])
    return slow_rescue(objects, cost)[0]


def slow_by_centerness(objects: list[int], places: Places, boxes: list[Box]) -> tuple[list[int], list[float]]:
    objects, rescued = slow_rescue(objects, [slow_distance_to_home(places, box) for box in boxes])
    quality = []
    for n, (m, point) in enumerate(zip(objects, places.points_xy.tolist(), strict=True)):
        value = slow_centerness(point, boxes[m]) if m >= 0 else 0
        quality.append(max(value, RESCUED_QUALITY) if n in rescued else value)
    return objects, quality


def slow_fcos(places: Places, boxes: list[Box]) -> tuple[list[int], list[float]]:
    wanted = []
    for x1, y1, x2, y2 in boxes:
        wants = set()
        for n, (x, y) in enumerate(places.points_xy.tolist()):
            level, sides = int(places.levels[n]), (x - x1, y - y1, x2 - x, y2 - y)
            radius = 1.5 * 8 * 2**level
            central = abs(x - (x1 + x2) / 2) < radius and abs(y - (y1 + y2) / 2) < radius
            if min(sides) > 0 and central and FCOS_LIMITS[level] <= max(sides) <= FCOS_LIMITS[level + 1]:
                wants.add(n)
        wanted.append(wants)
    areas = [[-(x2 - x1) * (y2 - y1)] * len(places.points_xy) for x1, y1, x2, y2 in boxes]
    return slow_by_centerness(slow_settle(wanted, areas, len(places.points_xy)), places, boxes)


def slow_atss(places: Places, boxes: list[Box]) -> tuple[list[int], list[float]]:
    points, squares = places.points_xy.tolist(), places.anchors_xyxy.tolist()
    iou = [[slow_iou(box, square) for square in squares] for box in boxes]
    wanted = []
    for box, row in zip(boxes, iou, strict=True):
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        candidates, start = [], 0
        for size in places.level_sizes:
            near = [-((px - x) ** 2 + (py - y) ** 2) for px, py in points[start : start + size]]
            candidates += [start + n for n in slow_best(near, 9)]
            start += size
        values = [row[n] for n in candidates]
        threshold = statistics.mean(values) + statistics.stdev(values)
        wanted.append({n for n in candidates if row[n] >= threshold and slow_inside(points[n], box)})
    return slow_by_centerness(slow_settle(wanted, iou, len(points)), places, boxes)


def slow_aligned(
    places: Places, scores: torch.Tensor, predicted: torch.Tensor, truth: Truth, beta: float = 6
) -> tuple[list[int], list[float]]:
    points, number = places.points_xy.tolist(), len(places.points_xy)
    boxes, labels = truth.boxes_xyxy.tolist(), truth.labels.tolist()
    iou = [[slow_iou(box, other) for other in predicted.tolist()] for box in boxes]
    metric = [[float(scores[n, label]) * iou[m][n] ** beta for n in range(number)] for m, label in enumerate(labels)]
    wanted = [
        {n for n in slow_best(row, 13) if row[n] > 0 and slow_inside(points[n], box)}
        for row, box in zip(metric, boxes, strict=True)
    ]
    objects = slow_settle(wanted, iou, number)
    objects, rescued = slow_rescue(objects, [slow_distance_to_home(places, box) for box in boxes])
    quality = [0.0] * number
    for m in range(len(boxes)):
        own = [n for n in range(number) if objects[n] == m]
        for n in own:
            if n in rescued:
                quality[n] = max(iou[m][n], RESCUED_QUALITY)
            else:
                quality[n] = metric[m][n] / max(metric[m][k] for k in own) * max(iou[m][k] for k in own)
    return objects, quality
