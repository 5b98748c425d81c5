"""Conditions on columns: parsed, checked and applied."""
