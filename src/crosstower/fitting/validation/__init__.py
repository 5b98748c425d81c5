"""Checks of the rows of a recipe, before anything is trained or scored."""
