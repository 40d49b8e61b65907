"""Finding objects in one scene or several: `lcageo detect`."""
