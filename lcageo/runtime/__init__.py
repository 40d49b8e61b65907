"""Runs trained models: cards, weights and backends behind one Predictor protocol."""
