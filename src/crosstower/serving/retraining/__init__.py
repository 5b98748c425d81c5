"""Retraining of a served bundle: versions, and the gate that a new one has to pass."""
