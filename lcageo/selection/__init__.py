"""Choosing from layers of objects: `lcageo filter`."""
