"""Column kinds beyond those of `columns.py`: one file each, found by name in the registry."""
