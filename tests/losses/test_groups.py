import numpy as np
import torch
from scipy.special import log_softmax

from crosstower.losses.groups import group_max, group_sum, log_softmax_by_group, pairs_in_order

from ..fixtures.grouped_rows import GRADES, GROUPS, SCORES, given


def test_shares_are_those_of_a_softmax_of_each_group() -> None:
    scores, _, groups = given()
    found = log_softmax_by_group(scores, groups).numpy()
    for group in np.unique(GROUPS):
        rows = group == GROUPS
        np.testing.assert_allclose(found[rows], log_softmax(SCORES[rows]), rtol=1e-12, atol=1e-15)


def test_sums_and_maxima_are_by_group() -> None:
    scores, _, groups = given()
    by_group = [SCORES[group == GROUPS] for group in np.unique(GROUPS)]
    np.testing.assert_allclose(group_sum(scores, groups), [x.sum() for x in by_group])
    np.testing.assert_array_equal(group_max(scores, groups), [x.max() for x in by_group])


def test_pairs_are_all_of_a_group_with_different_labels() -> None:
    _, labels, groups = given(GRADES)
    better, worse = pairs_in_order(labels, groups)
    rows = range(len(GROUPS))
    together = GROUPS[:, None] == GROUPS
    expected = {(i, j) for i in rows for j in rows if together[i, j] and GRADES[i] > GRADES[j]}
    found = list(zip(better.tolist(), worse.tolist(), strict=True))
    assert len(found) == len(expected)
    assert set(found) == expected


def test_codes_without_rows_do_no_harm() -> None:
    groups = torch.tensor([4, 4, 9])
    shares = log_softmax_by_group(torch.zeros(3), groups).exp()
    assert shares.tolist() == [0.5, 0.5, 1.0]
    better, worse = pairs_in_order(torch.tensor([1.0, 0.0, 0.0]), groups)
    assert (better.tolist(), worse.tolist()) == ([0], [1])


def test_no_rows_have_no_shares_and_no_pairs() -> None:
    nothing, groups = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    assert log_softmax_by_group(nothing, groups).shape == (0,)
    assert [len(part) for part in pairs_in_order(nothing, groups)] == [0, 0]
