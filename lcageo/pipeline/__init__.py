"""Whole tasks, free of argument parsing."""
