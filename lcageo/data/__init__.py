"""Training data: labelled images read, checked, joined, augmented and served in batches."""
