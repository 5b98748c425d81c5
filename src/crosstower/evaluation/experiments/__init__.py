"""Online experiments: which arm is better, and how sure is it."""
