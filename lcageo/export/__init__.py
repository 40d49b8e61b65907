"""Exports models for other programs: `lcageo export`."""
