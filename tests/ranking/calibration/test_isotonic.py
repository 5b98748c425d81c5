import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from crosstower.ranking.calibration.isotonic import Isotonic
from crosstower.ranking.calibration.maps import fit_calibration_map

from .test_platt import distorted


def test_isotonic_pools_adjacent_violators():
    # By hand: {0}, {1, 0} and {1, 0} with mean 1/2 each, {1}.
    y = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    regression = fit_calibration_map("isotonic", "regression", y, p)
    assert regression == Isotonic(x=(0.1, 0.2, 0.5, 0.6), y=(0.0, 0.5, 0.5, 1.0))
    between = regression.apply(np.array([0.0, 0.15, 0.35, 0.55, 0.9]))
    np.testing.assert_allclose(between, [0.0, 0.25, 0.5, 0.75, 1.0])
    binary = fit_calibration_map("isotonic", "binary", y, p)
    assert binary == Isotonic(x=regression.x, y=(1 / 8, 0.5, 0.5, 7 / 8))


@pytest.mark.parametrize("levels", [20, None])
def test_isotonic_is_scikit_learns(levels):
    y, p, _ = distorted(5000, 0.7, 0.4)
    p = p if levels is None else np.round(p * levels) / levels
    new = np.random.default_rng(1).random(500)
    peer = IsotonicRegression(out_of_bounds="clip", y_min=1 / 5002, y_max=1 - 1 / 5002).fit(p, y)
    fitted = fit_calibration_map("isotonic", "binary", y, p)
    np.testing.assert_allclose(fitted.apply(new), peer.predict(new), atol=1e-12)
