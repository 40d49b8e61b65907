"""python -m lcageo."""

from lcageo.cli.app import main

main()
