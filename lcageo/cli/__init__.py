"""The command line: Typer commands that parse, call the pipeline once and report."""
