"""A sequence: the last values of a list."""

import polars as pl

from crosstower.recipe.kinds.kind import ListField
from crosstower.recipe.kinds.sequence import Sequence


def test_a_sequence_keeps_its_last_values() -> None:
    column = Sequence(max_len=2, pooling="gru")
    learner = column.learner()
    learner.add(pl.Series([["a", "b", "c"], ["c"]]))
    state = learner.finish()
    codes, counts = column.coder(state)(pl.Series([["a", "b", "c"], None]))
    assert (codes.tolist(), counts.tolist()) == ([4, 5], [2, 0])
    assert column.inputs("seen", state) == ListField("seen", 6, "seen", 2, "gru")
