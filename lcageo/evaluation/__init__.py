"""Models and layers against truth: `lcageo evaluate`."""
