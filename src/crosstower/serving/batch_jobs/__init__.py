"""Batch jobs: lists for all users and predictions for all rows, one partition at a time."""
