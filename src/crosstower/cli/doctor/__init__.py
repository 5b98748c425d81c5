"""`crosstower doctor`: whether this installation and machine are fit for work."""
