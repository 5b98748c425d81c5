import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.rules.attributes import RuleRows
from crosstower.blending.rules.scores import aged, boosted, scaled
from crosstower.recipe.rule_kinds import Boost, Bury, Freshness

SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9)
DAY = 86_400.0


@given(scores=SCORES, factor=st.floats(1, 100))
def test_a_factor_above_1_never_lowers_and_its_inverse_undoes_it(scores, factor):
    score = np.array(scores)
    raised = scaled(score, factor)
    assert (raised >= score).all()
    assert (np.sign(raised) == np.sign(score)).all()
    np.testing.assert_allclose(scaled(raised, 1.0 / factor), score, rtol=1e-12)
    np.testing.assert_array_equal(
        np.argsort(raised, kind="stable"), np.argsort(score, kind="stable")
    )


@given(scores=SCORES, seed=st.integers(0, 99), amount=st.floats(1, 50))
def test_boost_and_bury_are_the_closed_form_where_the_condition_holds(scores, seed, amount):
    score = np.array(scores)
    fits = np.random.default_rng(seed).random(len(score)) < 0.5
    wanted = {
        "multiply": [s * amount if s >= 0 else s / amount for s in scores],
        "add": [s + amount for s in scores],
        "divide": [s / amount if s >= 0 else s * amount for s in scores],
        "subtract": [s - amount for s in scores],
    }
    for key, values in wanted.items():
        kind = Boost if key in ("multiply", "add") else Bury
        found = boosted(score, fits, kind(where="x", **{key: amount}))
        np.testing.assert_allclose(found[fits], np.array(values)[fits], rtol=1e-12, atol=1e-9)
        np.testing.assert_array_equal(found[~fits], score[~fits])


@pytest.mark.parametrize(
    "times",
    [
        pl.Series([0.0, -7 * DAY, -14 * DAY, None, 5 * DAY]),
        pl.Series(["1970-01-01", "1969-12-25", "1969-12-18", None, "1970-01-06T00:00:00Z"]),
        pl.Series([0, -7, -14, None, 5], dtype=pl.Int32).cast(pl.Date),
    ],
)
def test_freshness_halves_a_score_for_each_half_life(times):
    rows = RuleRows.of_table(pl.DataFrame({"born": times}))
    rule = Freshness(column="born", half_life="7d")
    found = aged(np.ones(5), rows, rule, now=0.0)
    # No time counts as the oldest, the future as now.
    np.testing.assert_allclose(found, [1, 0.5, 0.25, 0.25, 1], rtol=1e-12)
    np.testing.assert_allclose(aged(-np.ones(5), rows, rule, now=0.0), [-1, -2, -4, -4, -1])


def test_without_any_time_and_at_any_age_scores_stay_finite():
    rule = Freshness(column="born", half_life="1s")
    rows = RuleRows.of_table(pl.DataFrame({"born": pl.Series([None, None], dtype=pl.Date)}))
    np.testing.assert_array_equal(aged(np.array([1.0, 2.0]), rows, rule, now=0.0), [1.0, 2.0])
    rows = RuleRows.of_table(pl.DataFrame({"born": ["0001-01-01", "2026-01-01"]}))
    found = aged(np.array([1.0, -1.0]), rows, rule, now=2e9)
    assert np.isfinite(found).all()
    assert found[0] > 0
