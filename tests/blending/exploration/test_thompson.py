import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crosstower.blending.exploration.thompson import Thompson

from .draws import by_enumeration, p_values, pool_of


def order_probability(scores, deviations):
    """That of an order: its neighbouring differences are all above 0, jointly normal."""

    def probability(order):
        order = list(order)
        steps = np.eye(len(order))[:-1] - np.eye(len(order))[1:]
        mean = steps @ np.array(scores)[order]
        spread = steps @ np.diag(np.array(deviations)[order] ** 2) @ steps.T
        return stats.multivariate_normal.cdf(mean, np.zeros(len(mean)), spread, rng=0)

    return probability


def test_the_posterior_is_that_of_a_gaussian_offset():
    rows = np.array([0, 1, 12])
    found = Thompson(prior_sd=2.0, noise_sd=3.0).deviations(rows)
    # The posterior by its definition: prior times likelihood on a grid.
    offset = np.linspace(-30.0, 30.0, 200_001)
    for n, deviation in zip(rows, found, strict=True):
        weight = np.exp(-0.5 * (offset / 2.0) ** 2 - 0.5 * n * (offset / 3.0) ** 2)
        assert np.sqrt(np.average(offset**2, weights=weight)) == pytest.approx(deviation, rel=1e-9)


def test_a_narrow_posterior_is_raised_to_a_tenth_of_the_prior():
    assert Thompson(prior_sd=2.0, noise_sd=1.0).deviations(np.array([10**9])).tolist() == [0.2]


def test_two_items_have_the_closed_form():
    pool, kind = pool_of(1.0, 0.4, rows=(8, 0)), Thompson(prior_sd=0.9, noise_sd=1.5)
    apart = 0.6 / np.sqrt((kind.deviations(pool.rows) ** 2).sum())
    first = stats.norm.cdf(apart)
    np.testing.assert_allclose(
        kind.chances(pool, np.arange(2), 2), [[first, 1 - first], [1 - first, first]], atol=1e-12
    )


def test_probabilities_at_ranks_equal_those_of_all_orders():
    pool, kind = pool_of(1.0, 0.4, 0.3, rows=(8, 0, 100)), Thompson(prior_sd=0.9, noise_sd=1.5)
    expected = by_enumeration(order_probability(pool.score, kind.deviations(pool.rows)), 3)
    np.testing.assert_allclose(kind.chances(pool, np.arange(3), 3), expected, atol=1e-6)


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 10**6)), min_size=1, max_size=40),
    st.floats(0.05, 5),
)
@settings(max_examples=25, deadline=None)
def test_each_rank_and_each_item_have_a_total_probability_of_1(items, noise):
    items.sort(reverse=True)
    pool = pool_of(*(score for score, _ in items), rows=tuple(rows for _, rows in items))
    found = Thompson(prior_sd=1.0, noise_sd=noise).chances(pool, np.arange(len(pool)), len(pool))
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-9)


@pytest.mark.slow
def test_draws_have_the_stated_probabilities():
    pool = pool_of(1.0, 0.8, 0.5, 0.3, 0.0, rows=(90, 0, 3, 40, 0))
    assert min(p_values(Thompson(prior_sd=0.8, noise_sd=2.0), pool, 3)) > 1e-3


def test_scores_far_apart_keep_their_order() -> None:
    pool, kind = pool_of(1e300, 0.0, -1e300), Thompson(prior_sd=1e-9, noise_sd=1e9)
    np.testing.assert_allclose(kind.chances(pool, np.arange(3), 3), np.eye(3), atol=1e-12)
    assert kind.draw(pool, np.random.default_rng(0)).tolist() == [0, 1, 2]
