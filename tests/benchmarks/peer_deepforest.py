"""DeepForest with our network: python peer_deepforest.py SCENE MODEL SCORE OVERLAP PRECISION OUTPUT.geojson PATH...

It runs in the peers' environment. PATHs of lcageo and torch are appended after the environment's own packages.
Of DeepForest's three ways to read a scene this is the one that reads each window from the file, and takes a URL too.
"""

import sys
from pathlib import Path

scene, model_name, score, overlap, precision, output, *paths = sys.argv[1:]
sys.path += paths

from peer_detector import IOU, Detector, prepare_torchvision

prepare_torchvision()

from deepforest.main import deepforest
from deepforest.utilities import image_to_geo_coordinates

detector = Detector(model_name, float(score), precision, first_label=0)
settings = {
    "num_classes": len(detector.classes),
    "score_thresh": float(score),
    "batch_size": detector.predictor.batch,
    "accelerator": "cpu",
    "log_root": str(Path(output).parent),
}
model = deepforest(model=detector, config_args=settings)
model.set_labels({name: index for index, name in enumerate(detector.classes)})
found = model.predict_tile(
    path=scene,
    patch_size=detector.tile_size,
    patch_overlap=float(overlap),
    iou_threshold=IOU,
    dataloader_strategy="window",
)
if found is None:
    sys.exit("DeepForest found no objects")
image_to_geo_coordinates(found).rename(columns={"label": "class"}).to_file(output)
