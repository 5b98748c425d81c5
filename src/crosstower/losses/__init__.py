"""Losses, from logits and labels."""
