"""Sources of candidates: one file per kind, their tables in a run, and the merge."""
