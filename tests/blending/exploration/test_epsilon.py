import numpy as np
import pytest

from crosstower.blending.exploration.epsilon import Epsilon

from .draws import by_enumeration, p_values, pool_of


def order_probability(epsilon):
    def probability(order):
        left, found = sorted(order), 1.0
        for item in order:
            best = 1.0 - epsilon if item == left[0] else 0.0
            found *= best + epsilon / len(left)
            left.remove(item)
        return found

    return probability


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1.0])
def test_probabilities_at_ranks_equal_those_of_all_orders(epsilon):
    pool = pool_of(5.0, 4.0, 3.0, 2.0, 1.0, 0.0)
    found = Epsilon(epsilon=epsilon).chances(pool, np.arange(6), 6)
    np.testing.assert_allclose(found, by_enumeration(order_probability(epsilon), 6), atol=1e-14)


def test_some_items_have_the_rows_of_all():
    pool, kind = pool_of(*range(20, 0, -1)), Epsilon(epsilon=0.2)
    every = kind.chances(pool, np.arange(20), 7)
    np.testing.assert_array_equal(kind.chances(pool, np.array([11, 2]), 7), every[[11, 2]])


def test_conditional_probabilities_multiply_to_that_of_the_order():
    pool, order = pool_of(3.0, 2.0, 1.0, 0.0), np.array([0, 3, 1, 2])
    found = Epsilon(epsilon=0.3).conditional(pool, order, 4)
    assert np.prod(found) == pytest.approx(order_probability(0.3)((0, 3, 1, 2)), rel=1e-12)


def test_draws_have_the_stated_probabilities():
    assert min(p_values(Epsilon(epsilon=0.4), pool_of(4.0, 3.0, 2.0, 1.0, 0.0), 3)) > 1e-3
