"""Search of a recipe's options by validation: space, trials, study, result and page."""
