"""Counts of earlier events: in the rows of a training run, and at any instant in a server."""
