"""Metrics, the reports that show them, and online experiments."""
