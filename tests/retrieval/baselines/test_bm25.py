import math

import numpy as np
import polars as pl

from crosstower.retrieval.baselines.bm25 import Bm25

DOCUMENTS = ["red warm coat", "blue coat, coat", None, "warm shoes for warm days", "Red"]


def score(query: list[str], place: int, *, k1: float = 1.2, b: float = 0.75) -> float:
    """Oracle, word by word."""
    words = [[w.strip(",").lower() for w in (d or "").split()] for d in DOCUMENTS]
    mean = sum(map(len, words)) / len(words)
    total = 0.0
    for word in query:
        df = sum(word in d for d in words)
        tf = words[place].count(word)
        idf = math.log(1 + (len(words) - df + 0.5) / (df + 0.5))
        total += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(words[place]) / mean))
    return total


def test_scores_by_a_loop() -> None:
    index = Bm25.fit(pl.Series(DOCUMENTS))
    queries = ["warm red", "coat", "coat coat unknown", "", None]
    found = index.scores(pl.Series(queries))
    for i, query in enumerate(queries):
        expected = [score((query or "").split(), place) for place in range(len(DOCUMENTS))]
        np.testing.assert_allclose(found[i], expected, rtol=1e-5)


def test_documents_without_a_word() -> None:
    index = Bm25.fit(pl.Series([None, ""], dtype=pl.String))
    assert index.scores(pl.Series(["coat"])).tolist() == [[0.0, 0.0]]
