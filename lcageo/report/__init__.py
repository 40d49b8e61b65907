"""HTML pages for browsing results: `lcageo report`."""
