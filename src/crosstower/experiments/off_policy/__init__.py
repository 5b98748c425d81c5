"""Off-policy evaluation: the reward a ranker's order would have earned on logged actions."""
