"""Column kinds: one file and one registration each, found by name in the registry."""
