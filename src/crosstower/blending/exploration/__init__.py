"""Exploration: draw the order of the best candidates, with the probability of the result."""
