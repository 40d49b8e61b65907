"""lcageo inside QGIS: the plugin, and what puts it into a profile of QGIS."""
