"""Metrics of predictions and of ranked lists, with their uncertainty; no torch."""
