"""Metrics, and the reports that show them."""
