"""Evaluation of models and layers against ground truth: `lcageo evaluate`."""
