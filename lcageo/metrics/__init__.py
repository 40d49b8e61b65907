"""How good detections are: COCO and VOC figures, curves, confusions. numpy and the COCO library only."""
