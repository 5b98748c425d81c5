"""Counts of earlier events: in the rows of a training, and at any instant in a server."""
