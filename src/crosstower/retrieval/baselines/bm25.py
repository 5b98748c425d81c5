"""BM25: the text search baseline (Robertson & Zaragoza 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from crosstower.recipe.kinds.text import words_of


@dataclass(frozen=True)
class Bm25:
    """BM25 weights of documents: `weights` `[N, V]` per word of `vocabulary`, sorted.

    weight = idf · tf·(k1 + 1) / (tf + k1·(1 - b + b·length / mean length)),
    idf = log(1 + (N - df + 0.5) / (df + 0.5)).

    >>> import polars as pl
    >>> bm25 = Bm25.fit(pl.Series(["red shoes", "green hat", None]))
    >>> bm25.scores(pl.Series(["red hat"])).argmax(), bm25.scores(pl.Series(["red"]))[0, 1]
    (np.int64(0), np.float32(0.0))

    Args:
        vocabulary: V words.
        weights: sparse matrix `[N, V]`.

    """

    vocabulary: pl.Series
    weights: Any

    @staticmethod
    def fit(documents: pl.Series, *, k1: float = 1.2, b: float = 0.75) -> Bm25:
        """Return the weights of documents `[N]`; a missing document has no words.

        Args:
            documents: texts.
            k1: saturation of the term frequency.
            b: strength of the length normalisation, 0 to 1.

        """
        words = words_of(documents).fill_null([])
        vocabulary = words.explode(empty_as_null=False, keep_nulls=False).cast(pl.String).unique()
        vocabulary = vocabulary.drop_nulls().sort()
        counts = _counts(words, vocabulary)
        tf = counts.tocoo()
        length = np.asarray(counts.sum(axis=1)).ravel()
        df = np.bincount(tf.col, minlength=len(vocabulary))
        idf = np.log1p((len(documents) - df + 0.5) / (df + 0.5))
        norm = k1 * (1 - b + b * length / max(length.mean(), 1e-12))
        data = idf[tf.col] * tf.data * (k1 + 1) / (tf.data + norm[tf.row])
        weights = sparse.csr_array((data, (tf.row, tf.col)), shape=counts.shape)
        return Bm25(vocabulary, weights.astype(np.float32))

    def scores(self, texts: pl.Series) -> NDArray[np.float32]:
        """Return the scores `[Q, N]` of texts `[Q]`; repeated words count repeatedly."""
        counts = _counts(words_of(texts).fill_null([]), self.vocabulary)
        return (counts @ self.weights.T).toarray().astype(np.float32)


def _counts(words: pl.Series, vocabulary: pl.Series) -> Any:
    """Return the count of each word in each text `[B, V]`."""
    row = np.repeat(np.arange(len(words)), words.list.len().to_numpy())
    flat = words.explode(empty_as_null=False, keep_nulls=False).cast(pl.String)
    known = pl.DataFrame({"word": vocabulary, "column": np.arange(len(vocabulary))})
    found = pl.DataFrame({"row": row, "word": flat}).join(known, on="word", how="inner")
    ones = np.ones(found.height)
    places = (found["row"].to_numpy(), found["column"].to_numpy())
    return sparse.csr_array((ones, places), shape=(len(words), len(vocabulary)))
