"""Models for other programs: `lcageo export`."""
