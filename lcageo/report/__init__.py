"""Pages to look through: `lcageo report`."""
