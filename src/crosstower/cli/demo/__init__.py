"""`crosstower demo`: trained runs and a funnel on a synthetic dataset."""
