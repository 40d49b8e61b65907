"""Running a trained model: cards, weights and backends behind one Predictor protocol."""
