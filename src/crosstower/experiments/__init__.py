"""Online experiments and off-policy evaluation: which policy is better, and how sure is it."""
