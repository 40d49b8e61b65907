"""Folders of scenes: `lcageo batch`."""
