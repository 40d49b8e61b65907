"""SAHI with our network: python peer_sahi.py SCENE MODEL SCORE OVERLAP PRECISION OUTPUT.geojson PATH...

It runs in the peers' environment. PATHs of lcageo and torch are appended after the environment's own packages.
SAHI takes pictures without places; the scene is read as a whole, and the boxes are placed on the map here.
"""

import json
import sys
from pathlib import Path

scene, model_name, score, overlap, precision, output, *paths = sys.argv[1:]
sys.path += paths

import numpy as np
import rasterio
from peer_detector import IOU, load
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction
from shapely import box
from shapely.affinity import affine_transform


class Ours(DetectionModel):
    """Our network behind SAHI's base class."""

    def load_model(self):
        self.model = load(model_name, float(score), precision)
        self.category_mapping = {str(index): name for index, name in enumerate(self.model.card.classes)}

    def perform_batch_inference(self, images):
        side = self.model.card.tile_size
        tiles = np.zeros((len(images), 3, side, side), np.uint8)
        for tile, image in zip(tiles, images, strict=True):
            tile[:, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
        self._original_predictions = self.model.predict(tiles)

    def _create_object_prediction_list_from_original_predictions(self, shift_amount_list=None, full_shape_list=None):
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=corners.tolist(),
                    category_id=int(label),
                    category_name=self.category_mapping[str(label)],
                    score=float(value),
                    shift_amount=shift,
                    full_shape=shape,
                )
                for corners, value, label in zip(found.boxes_xyxy, found.scores, found.labels, strict=True)
            ]
            for found, shift, shape in zip(self._original_predictions, shift_amount_list, full_shape_list, strict=True)
        ]


with rasterio.open(scene) as dataset:
    picture = np.ascontiguousarray(dataset.read().transpose(1, 2, 0))
    transform, crs = dataset.transform.to_shapely(), dataset.crs.to_string()
model = Ours(device="cpu", confidence_threshold=float(score))
result = get_sliced_prediction(
    picture,
    model,
    slice_height=model.model.card.tile_size,
    slice_width=model.model.card.tile_size,
    overlap_height_ratio=float(overlap),
    overlap_width_ratio=float(overlap),
    perform_standard_pred=False,
    postprocess_type="NMS",
    postprocess_match_metric="IOU",
    postprocess_match_threshold=IOU,
    batch_size=model.model.batch,
    verbose=0,
)
features = [
    {
        "type": "Feature",
        "properties": {"class": found.category.name, "score": found.score.value},
        "geometry": affine_transform(box(*found.bbox.to_xyxy()), transform).__geo_interface__,
    }
    for found in result.object_prediction_list
]
place = {"type": "name", "properties": {"name": crs}}
Path(output).write_text(json.dumps({"type": "FeatureCollection", "crs": place, "features": features}))
