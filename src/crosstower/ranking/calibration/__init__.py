"""Calibration of predictions, per task and content type."""
