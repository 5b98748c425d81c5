"""Rankers: training, scoring, calibration and evaluation."""
