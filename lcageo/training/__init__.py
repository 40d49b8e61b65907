"""Trains models: the loop, and its schedule, optimisers, averaging, precision, checkpoints, logs and curves."""
