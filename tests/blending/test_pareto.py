import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending import pareto
from crosstower.blending.blender import fit_blend
from crosstower.blending.measures import task_gain, task_ndcg
from crosstower.blending.pareto import front_of, non_dominated, weight_sweep
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.blend import Blend

KINDS = {"like": "binary", "comment": "binary", "stars": "rating"}


def rows(seed: int, count: int = 800) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    p = random.beta(1, 3, (count, 2))
    y = random.random((count, 2)) < p
    stars = random.integers(1, 6, count)
    return pl.DataFrame(
        {
            "user": random.integers(0, 20, count),
            "bid": random.integers(0, 4, count),
            "like": y[:, 0].astype(float),
            "comment": y[:, 1].astype(float),
            "stars": stars.astype(float),
            "like__prediction": p[:, 0],
            "comment__prediction": p[:, 1],
            "stars__prediction": stars + random.normal(size=count),
        }
    )


def brute(values: np.ndarray) -> list[bool]:
    def beaten(a: np.ndarray) -> bool:
        return any(all(b >= a) and any(b > a) for b in values)

    return [not beaten(row) for row in values]


@given(
    seed=st.integers(0, 9999),
    n=st.integers(0, 40),
    tasks=st.integers(1, 4),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_the_front_is_that_of_all_comparisons(seed, n, tasks, levels):
    values = np.random.default_rng(seed).integers(0, levels, (n, tasks)).astype(float)
    assert non_dominated(values).tolist() == brute(values)


def test_blocks_do_not_change_the_front(monkeypatch):
    values = np.random.default_rng(0).random((300, 3))
    whole = non_dominated(values)
    monkeypatch.setattr(pareto, "_CELLS", 7 * values.size)
    np.testing.assert_array_equal(non_dominated(values), whole)


def test_what_is_not_finite_is_not_on_the_front_and_an_undefined_column_is_not_looked_at():
    values = np.array([[1.0, np.nan], [0.0, 0.0], [-1.0, 0.0]])
    assert non_dominated(values).tolist() == [False, True, False]
    table = pl.DataFrame({"a": [1.0, 2.0, 2.0], "b": [float("nan")] * 3})
    assert front_of(table, ["a", "b"]).tolist() == [False, True, True]


def test_a_sweep_starts_by_hand_then_each_task_alone_and_marks_the_front():
    fit, frame = rows(0), rows(1)
    spec = Blend(weights={"like": 1, "comment": 2, "stars": -0.5}, transform="percentile")
    found = weight_sweep(spec, KINDS, fit, frame, user="user", k=5, points=20, seed=3)
    assert found["by_hand"].to_list() == [True] + [False] * 23
    weights = found.select(f"{task}__weight" for task in KINDS).to_numpy()
    by_hand = np.array([1.0, 2.0, -0.5])
    np.testing.assert_array_equal(weights[0], by_hand)
    np.testing.assert_array_equal(weights[1:4], 3 * np.diag(by_hand))
    np.testing.assert_allclose((weights / by_hand).mean(axis=1), 1.0)
    for row in (0, 2, 9):
        own = Blend(weights=dict(zip(KINDS, weights[row], strict=True)), transform="percentile")
        score = fit_blend(own, KINDS, fit).score(frame)
        for task in KINDS:
            oracle = task_ndcg(frame["user"], score, task_gain(frame, task), 5)
            assert found[f"{task}__ndcg"][row] == pytest.approx(oracle, abs=1e-9)
    ndcgs = found.select(f"{task}__ndcg" for task in KINDS).to_numpy()
    assert found["front"].to_list() == brute(ndcgs)
    assert ndcgs[:, 0].argmax() == 1
    again = weight_sweep(spec, KINDS, fit, frame, user="user", k=5, points=20, seed=3)
    assert again.equals(found)


def test_a_sweep_of_products_sweeps_the_exponents():
    frame = rows(2).with_columns(
        like__prediction=pl.when(pl.int_range(pl.len()) % 9 == 0)
        .then(0.0)
        .otherwise("like__prediction")
    )
    spec = Blend(weights={"like": 1, "comment": 2}, mode="product", amount="bid")
    found = weight_sweep(spec, KINDS, frame, frame, user="user", k=5, points=3)
    for row in found.iter_rows(named=True):
        weights = {"like": row["like__weight"], "comment": row["comment__weight"]}
        own = Blend(weights=weights, mode="product", amount="bid")
        score = fit_blend(own, KINDS, frame).score(frame)
        oracle = task_ndcg(frame["user"], score, task_gain(frame, "like"), 5)
        assert row["like__ndcg"] == pytest.approx(oracle, abs=1e-9)


def test_bad_input_is_named():
    frame = rows(0)
    with pytest.raises(RecipeError, match="a sweep needs two tasks with weights, got like only"):
        weight_sweep(
            Blend(weights={"like": 1, "comment": 0}), KINDS, frame, frame, user="user", k=5
        )
    both = Blend(weights={"like": 1, "comment": 1})
    with pytest.raises(DataError, match="points: expected at least 1"):
        weight_sweep(both, KINDS, frame, frame, user="user", k=5, points=0)
    with pytest.raises(DataError, match="no column 'usr'; did you mean 'user'"):
        weight_sweep(both, KINDS, frame, frame, user="usr", k=5)
