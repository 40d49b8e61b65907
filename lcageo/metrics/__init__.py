"""Detection metrics: COCO and VOC figures, curves, confusion. Needs only numpy and the COCO library."""
