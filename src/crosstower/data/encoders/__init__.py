"""Encoders: cleaned columns to codes, numbers and lists."""
