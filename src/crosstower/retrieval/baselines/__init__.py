"""Baselines of retrieval: popularity, item-to-item, EASE^R, ALS and BM25."""
