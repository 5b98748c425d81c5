"""One script a library: PYTHON contenders/NAME.py ROWS.npz MODEL SEED trains one epoch."""
