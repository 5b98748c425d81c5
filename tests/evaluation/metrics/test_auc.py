import math
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from crosstower.blending.orders import order_of
from crosstower.errors import DataError
from crosstower.evaluation.metrics.auc import group_auc, roc_auc
from crosstower.evaluation.metrics.ndcg import ndcg_per_group


def looped_group_auc(y, p, groups):
    """The definition: one group at a time."""
    aucs, weights = [], []
    for group in np.unique(groups):
        rows = groups == group
        if 0 < y[rows].sum() < rows.sum():
            aucs.append(roc_auc_score(y[rows], p[rows]))
            weights.append(rows.sum())
    return np.average(aucs, weights=weights), len(weights), sum(weights)


@given(seed=st.integers(0, 9999), levels=st.integers(1, 40), n=st.integers(2, 200))
def test_auc_is_that_of_scikit_learn_with_and_without_ties(seed, levels, n):
    random = np.random.default_rng(seed)
    y = np.concatenate([[0.0, 1.0], random.integers(0, 2, n)])
    p = random.integers(0, levels, n + 2) / levels
    assert roc_auc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)


def test_auc_of_half_precision_labels_does_not_lose_counts():
    random = np.random.default_rng(0)
    y = (random.random(100_000) < 0.5).astype(np.float32)
    p = random.random(100_000).astype(np.float32)
    assert roc_auc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)


@pytest.mark.parametrize("y", [[0.0, 0.0], [1.0, 1.0], []])
def test_auc_of_one_class_is_not_defined(y):
    assert math.isnan(roc_auc(np.array(y), np.linspace(0, 1, len(y))))


@given(seed=st.integers(0, 9999), levels=st.integers(1, 20), users=st.integers(1, 30))
def test_group_auc_is_the_loop_over_groups(seed, levels, users):
    random = np.random.default_rng(seed)
    groups = np.concatenate([[0, 0], random.integers(0, users, 150)])
    y = np.concatenate([[0.0, 1.0], random.integers(0, 2, 150)])
    p = random.integers(0, levels, 152) / levels
    value, counted, rows = looped_group_auc(y, p, groups)
    result = group_auc(y, p, groups)
    assert result.value == pytest.approx(value, abs=1e-12)
    assert (result.groups, result.rows) == (counted, rows)


def test_group_auc_sees_only_the_order_within_groups():
    random = np.random.default_rng(1)
    groups = random.integers(0, 20, 500)
    y, p = random.integers(0, 2, 500).astype(float), random.random(500)
    shifted = p + 10.0 * random.random(20)[groups]
    assert group_auc(y, shifted, groups) == group_auc(y, p, groups)


def test_groups_may_be_names_and_rows_without_a_group_do_not_count():
    y, p = np.array([0.0, 1.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.9, 0.2, 0.3, 0.5])
    groups = pl.Series(["a", "a", None, None, "b"])
    result = group_auc(y, p, groups)
    assert (result.value, result.groups, result.rows) == (1.0, 1, 2)


def test_group_auc_without_a_mixed_group_is_not_defined():
    result = group_auc(np.array([0.0, 1.0]), np.array([0.1, 0.2]), np.array([1, 2]))
    assert math.isnan(result.value)
    assert (result.groups, result.rows) == (0, 0)


@pytest.mark.parametrize(
    ("names", "missing", "make"),
    [
        ([1.0, 2.0], math.nan, pl.Series),
        ([1.0, 2.0], None, pl.Series),
        (["ann", "bob"], None, pl.Series),
        ([1.0, 2.0], math.nan, np.array),
        ([1.0, 2.0], None, partial(np.array, dtype=object)),
        (["ann", "bob"], math.nan, partial(np.array, dtype=object)),
        (["ann", "bob"], None, partial(np.array, dtype=object)),
    ],
)
def test_rows_without_a_group_form_none(names, missing, make):
    groups = make([names[0]] * 2 + [names[1]] * 2 + [missing] * 4)
    y = np.array([1.0, 0, 1, 0, 0, 1, 0, 1])
    p = np.array([0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.9, 0.1])
    found = group_auc(y, p, groups)
    assert (found.value, found.groups, found.rows) == (0.5, 2, 4)
    assert ndcg_per_group(groups, p, y, k=2).groups.to_list() == names
    assert order_of(groups, p).sizes.tolist() == [2, 2]


def test_scores_that_are_none_are_refused():
    y = np.array([0, 1])
    assert roc_auc(y, np.array([-math.inf, math.inf])) == 1.0
    with pytest.raises(DataError, match="expected a score, got nan in row 1, 1 such rows"):
        roc_auc(y, np.array([0.1, math.nan]))
    with pytest.raises(DataError, match="one score per label, got 3 for 2 labels"):
        roc_auc(y, np.zeros(3))
