"""geoai with our network: python peer_geoai.py SCENE MODEL SCORE OVERLAP PRECISION OUTPUT.geojson PATH...

It runs in the peers' environment. PATHs of lcageo and torch are appended after the environment's own packages.
Besides the objects geoai writes a raster of their classes and numbers, for which it holds a mask of the whole scene
for every object: memory and time grow with the product of both.
"""

import sys
from pathlib import Path
from types import ModuleType

scene, model_name, score, overlap, precision, output, *paths = sys.argv[1:]
sys.path += paths

from peer_detector import IOU, Detector, prepare_torchvision

prepare_torchvision()
# Interactive maps, with many packages of their own; geoai imports it at its start, but tiled detection never uses it.
sys.modules["leafmap"] = ModuleType("leafmap")

from geoai.object_detect import detections_to_geodataframe
from geoai.train import multiclass_detection_inference_on_geotiff

detector = Detector(model_name, float(score), precision, first_label=1)  # 0 is the background
classes = ["background", *detector.classes]
_, _, found = multiclass_detection_inference_on_geotiff(
    detector,
    scene,
    str(Path(output).with_suffix(".tif")),
    class_names=classes,
    window_size=detector.tile_size,
    overlap=round(detector.tile_size * float(overlap)),
    confidence_threshold=float(score),
    nms_threshold=IOU,
    batch_size=detector.predictor.batch,
    device="cpu",
)
detections_to_geodataframe(found, scene, classes).rename(columns={"class_name": "class"}).to_file(output)
