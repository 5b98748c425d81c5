"""Rules of a list: what it must, should or must not show, after the blend."""
