import math

import numpy as np
import pytest
from sklearn import metrics as sk

from crosstower.evaluation.metrics.regression import mae, mse, rmse


def test_errors_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    y, p = random.normal(3, 2, (2, 500))
    assert mae(y, p) == pytest.approx(sk.mean_absolute_error(y, p))
    assert mse(y, p) == pytest.approx(sk.mean_squared_error(y, p))
    assert rmse(y, p) == pytest.approx(sk.root_mean_squared_error(y, p))


def test_errors_of_no_rows_are_not_defined():
    assert math.isnan(mae(np.empty(0), np.empty(0)))
    assert math.isnan(mse(np.empty(0), np.empty(0)))
    assert math.isnan(rmse(np.empty(0), np.empty(0)))
