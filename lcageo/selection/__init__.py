"""Selecting from layers of objects: `lcageo filter`."""
