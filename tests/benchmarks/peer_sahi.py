"""SAHI with our network on a scene: python peer_sahi.py SCENE MODEL SCORE OVERLAP PRECISION PATH...

It runs in the peers' environment. PATHs of lcageo and torch are appended after the environment's own packages.
"""

import sys

scene, model_name, score, overlap, precision, *paths = sys.argv[1:]
sys.path += paths

import numpy as np
import rasterio
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

from lcageo.config import Backend, DetectConfig, Precision
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor


class Ours(DetectionModel):
    """Our network behind SAHI's base class."""

    def load_model(self):
        config = DetectConfig(score=float(score))
        self.model = load_predictor(find_card(model_name), config, "cpu", Backend.TORCH, Precision(precision))
        self.category_mapping = {str(index): name for index, name in enumerate(self.model.card.classes)}

    def perform_inference(self, image):
        side = self.model.card.tile_size
        padded = np.zeros((1, 3, side, side), np.uint8)
        padded[0, :, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
        self._original_predictions = self.model.predict(padded)

    def _create_object_prediction_list_from_original_predictions(self, shift_amount_list=None, full_shape_list=None):
        (found,) = self._original_predictions
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=box.tolist(),
                    category_id=int(label),
                    category_name=self.category_mapping[str(label)],
                    score=float(value),
                    shift_amount=shift_amount_list[0],
                    full_shape=full_shape_list[0],
                )
                for box, value, label in zip(found.boxes_xyxy, found.scores, found.labels, strict=True)
            ]
        ]


with rasterio.open(scene) as dataset:
    picture = np.ascontiguousarray(dataset.read().transpose(1, 2, 0))
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
    postprocess_match_threshold=0.5,
    verbose=0,
)
print(len(result.object_prediction_list))
