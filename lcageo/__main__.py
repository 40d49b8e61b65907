"""python -m lcageo."""

from lcageo.cli.app import program

program()
