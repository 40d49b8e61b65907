"""Images to train on, cut from scenes: `lcageo chips`."""
