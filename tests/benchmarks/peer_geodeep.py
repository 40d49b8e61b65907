"""GeoDeep on a scene: python peer_geodeep.py SCENE MODEL.onnx SCORE OUTPUT.geojson, in the peers' environment."""

import sys
from pathlib import Path

import geodeep

scene, model, score, output = sys.argv[1:]
# A resolution, in cm, finer than the scene's: GeoDeep then does not resample the scene.
Path(output).write_text(geodeep.run(scene, model, output_type="geojson", conf_threshold=float(score), resolution=1))
