import math

import numpy as np
import pytest

from crosstower.errors import RunError
from crosstower.evaluation.metrics.summary import Difference, Summary, difference, summarise


def test_mean_and_sample_deviation_over_seeds():
    values = [0.61, 0.64, 0.66]
    table = summarise([{"click": {"auc": v, "ece": 0.1}} for v in values])
    auc = table["click"]["auc"]
    assert auc.mean == pytest.approx(np.mean(values))
    assert auc.sd == pytest.approx(np.std(values, ddof=1))
    assert auc.seeds == 3
    assert table["click"]["ece"] == Summary(0.1, 0.0, 3)


def test_one_seed_has_no_deviation():
    assert summarise([{"click": {"auc": 0.6}}])["click"]["auc"] == Summary(0.6, None, 1)
    assert str(Summary(0.6)) == "0.6000"


def test_an_undefined_metric_stays_undefined():
    undefined = Summary.of([0.5, math.nan])
    assert math.isnan(undefined.mean)
    assert undefined.sd is None


def test_seeds_must_be_evaluated_alike():
    with pytest.raises(RunError, match=r"seed 2 of 2 .* click\.gauc"):
        summarise([{"click": {"auc": 0.6}}, {"click": {"auc": 0.6, "gauc": 0.6}}])
    with pytest.raises(RunError, match="at least one seed"):
        summarise([])
    with pytest.raises(RunError, match="at least one seed"):
        Summary.of([])


def test_noise_joins_seeds_and_test_rows():
    gap = difference("auc", Summary(0.70, 0.03, 3), Summary(0.60, 0.04, 3), sampling_error=0.12)
    assert gap.value == pytest.approx(0.10)
    assert gap.noise == pytest.approx(0.13)
    assert gap.sds == pytest.approx(0.10 / 0.13)
    assert not gap.is_real


def test_gain_is_positive_where_the_model_is_better():
    assert Difference("auc", 0.02, 0.01).gain == 0.02
    assert Difference("rmse", 0.02, 0.01).gain == -0.02
    assert Difference("rmse", -0.03, 0.01).is_real


def test_without_noise_any_difference_is_real_and_none_is_none():
    assert Difference("auc", 0.1, 0.0).sds == math.inf
    assert Difference("rmse", 0.1, 0.0).sds == -math.inf
    assert math.isnan(Difference("auc", 0.0, 0.0).sds)
    assert not Difference("auc", 0.0, 0.0).is_real
