"""Encoders of histories, one file each: a vector per value, which reads no later value."""
