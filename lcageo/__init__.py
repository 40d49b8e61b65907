"""lcageo: objects in large georeferenced imagery, found with LCA-Det and given back as map features."""

__version__ = "0.1.0"
