"""Training images cut from scenes: `lcageo chips`."""
