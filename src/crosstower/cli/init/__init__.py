"""`crosstower init`: a recipe inferred from a file."""
