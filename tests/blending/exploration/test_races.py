import numpy as np
from scipy import stats

from crosstower.blending.exploration.races import rank_probabilities, step_of


def test_exponential_clocks_that_run_backwards():
    # Values -T of exponential clocks T: the first to ring is first, with probability w_i / Σw.
    weights = np.array([3.0, 1.0, 0.5])
    logs = np.arange(-40.0, 5.0, 0.1)  # of t, so that the integrand decays on both sides
    times = np.exp(logs)
    density = np.stack([stats.expon.pdf(times, scale=1 / w) * times for w in weights])
    found = rank_probabilities(
        density,
        lambda j: np.tile(stats.expon.cdf(times, scale=1 / weights[j]), (3, 1)),
        np.arange(3),
        count=3,
        k=3,
        step=0.1,
    )
    np.testing.assert_allclose(found[:, 0], weights / weights.sum(), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)


def test_a_dozen_equal_normal_values_share_every_rank():
    step = step_of(12)
    points = np.arange(-8.5, 8.5, step)
    more, density = stats.norm.sf(points)[None], stats.norm.pdf(points)[None]
    found = rank_probabilities(density, lambda _: more, np.array([4]), count=12, k=12, step=step)
    np.testing.assert_allclose(found, 1 / 12, atol=1e-10)


def test_steps_shrink_with_the_items_and_have_a_limit():
    assert (step_of(1, widest=0.25), step_of(100, widest=0.25)) == (0.25, 0.1)
