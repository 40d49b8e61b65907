"""What a training loop is made of: schedule, optimisers, averaging, precision, checkpoints, logs and curves."""
