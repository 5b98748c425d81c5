"""From a recipe to a run folder: checks, training, resuming."""
