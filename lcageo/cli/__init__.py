"""The command line: Typer commands that parse arguments, call one function of the package and print its result."""
