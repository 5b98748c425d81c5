"""Sources of raw rows: files, folders, tables and joins."""
