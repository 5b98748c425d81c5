"""The recipe: schema, tasks and options that a user declares; no torch."""
