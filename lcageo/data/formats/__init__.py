"""Formats of labelled sets: a module each, listed in `data.sets`."""
