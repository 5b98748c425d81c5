import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.errors import RecipeError

from .draws import by_enumeration, p_values, pool_of


def order_probability(scores, temperature):
    weights = np.exp((np.array(scores) - max(scores)) / temperature)
    return lambda order: np.prod([weights[i] / weights[list(order[r:])].sum()
                                  for r, i in enumerate(order)])  # fmt: skip


@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0])
def test_probabilities_at_ranks_equal_those_of_all_orders(temperature):
    pool = pool_of(3.0, 2.5, 0.7, 0.7, -2.0)
    found = PlackettLuce(temperature=temperature).chances(pool, np.arange(5), 5)
    expected = by_enumeration(order_probability(pool.score, temperature), 5)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_conditional_probabilities_multiply_to_that_of_the_order():
    pool, order = pool_of(3.0, 2.5, 0.7, -2.0), np.array([1, 3, 0, 2])
    found = PlackettLuce(temperature=2.0).conditional(pool, order, 4)
    expected = order_probability(pool.score, 2.0)(tuple(order.tolist()))
    assert np.prod(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_draws_have_the_stated_probabilities():
    pool = pool_of(1.0, 0.8, 0.5, 0.0, -0.5)
    assert min(p_values(PlackettLuce(temperature=0.7), pool, 3)) > 1e-3


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(0.01, 50))
@settings(max_examples=25, deadline=None)
def test_each_rank_and_each_item_have_a_total_probability_of_1(scores, temperature):
    pool = pool_of(*sorted(scores, reverse=True))
    found = PlackettLuce(temperature=temperature).chances(pool, np.arange(len(pool)), len(pool))
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-9)


def test_a_tiny_temperature_keeps_the_order_and_nothing_overflows():
    pool, kind = pool_of(1e300, 1.0, 0.5, -1e300), PlackettLuce(temperature=1e-300)
    assert kind.draw(pool, np.random.default_rng(0)).tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(kind.chances(pool, np.arange(4), 4), np.eye(4), atol=1e-12)
    np.testing.assert_allclose(kind.conditional(pool, np.arange(4), 4), 1.0)


@pytest.mark.parametrize("given", [{"temperature": 0}, {}, {"temperature": 1, "top": 0}])
def test_impossible_options_are_refused(given):
    with pytest.raises(RecipeError, match=r"PlackettLuce\.(temperature|top)"):
        PlackettLuce(**given)
