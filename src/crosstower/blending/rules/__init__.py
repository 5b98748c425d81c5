"""Rules of a list: requirements on its items, applied after the blend."""
