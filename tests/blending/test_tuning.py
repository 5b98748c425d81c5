import importlib
import math
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest

from crosstower.blending.blender import fit_blend
from crosstower.blending.measures import OrderMeasures
from crosstower.blending.pareto import non_dominated
from crosstower.blending.tuning import tune_blend
from crosstower.blending.utility import Constraint, Utility
from crosstower.data.datasets import worlds
from crosstower.errors import RecipeError
from crosstower.recipe.blend import Blend

KINDS = {"like": "binary", "comment": "binary"}
VALUES = {"like": 1.0, "comment": 2.0}
PHOTOS = Constraint(column="content_type", value="photo", min_share=0.25)


def feed(rows: int = 20_000) -> pl.DataFrame:
    frame = worlds.make("feed_engagement", rows=rows).frame
    return frame.with_columns(
        like__prediction="like_probability", comment__prediction="comment_probability"
    )


def utility(**keys) -> Utility:
    return Utility(**{"values": VALUES, "user": "user_id", "trials": 25} | keys)


def measured(given: Utility, blend: Blend, frame: pl.DataFrame, kinds=KINDS):
    score = fit_blend(blend, kinds, frame).score(frame)
    return OrderMeasures(given, kinds, frame).of(score)


def test_tuning_meets_a_constraint_that_the_plain_sum_violates():
    frame, given = feed(), utility(constraints=(PHOTOS,), by=(None, "content_type"))
    assert measured(given, Blend(weights=VALUES), frame).reached[0] < 0.1
    tuned = tune_blend(given, KINDS, frame)
    figures = measured(given, tuned.blend, frame)
    assert figures.reached[0] >= 0.25 - 1e-9
    assert tuned.constraints[0].words == PHOTOS.words
    assert tuned.constraints[0].reached == figures.reached[0]
    assert tuned.utility == figures.utility
    feasible = tuned.trials.filter("feasible")
    assert tuned.utility == feasible["utility"].max()
    assert feasible[PHOTOS.words].min() >= 0.25 - 1e-9
    assert tuned.trials.filter(~pl.col("feasible"))[PHOTOS.words].max() < 0.25


@pytest.mark.parametrize("metric", ["ndcg", "total"])
def test_tuning_is_never_worse_than_the_blends_anyone_would_try(metric):
    frame, given = feed(), utility(metric=metric, trials=1)
    tuned = tune_blend(given, KINDS, frame)
    for weights in (VALUES, {"like": 1, "comment": 1}, {"like": 1}, {"comment": 1}):
        assert tuned.utility >= measured(given, Blend(weights=weights), frame).utility
    assert tuned.trials["start"].null_count() == 0  # one trial is asked for: only the starts are


def test_a_search_finds_weights_that_no_start_has():
    random = np.random.default_rng(0)
    x = random.random((8_000, 3))
    frame = pl.DataFrame(
        {"user": random.integers(0, 100, 8_000)}
        | {f"t{i}__prediction": x[:, i] for i in range(3)}
        | {f"t{i}": np.zeros(8_000) for i in range(1, 3)}
        | {"t0": x @ [0.04, 0.16, 0.8]}
    )
    kinds = dict.fromkeys(("t0", "t1", "t2"), "binary")
    given = Utility(values={"t0": 1}, user="user", transforms=("identity",), trials=70)
    tuned = tune_blend(given, kinds, frame)
    starts = tuned.trials.filter(pl.col("start").is_not_null())
    assert starts.height == 5
    assert 1.0 - tuned.utility < 0.2 * (1.0 - starts["utility"].max())
    found = np.array([tuned.blend.weights[f"t{i}"] for i in range(3)])
    np.testing.assert_allclose(found / found.sum(), [0.04, 0.16, 0.8], atol=0.08)
    weights = tuned.trials.filter(pl.col("start").is_null()).select("^t.__weight$").to_numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights > 0.0).all()


def test_trials_are_a_table_and_the_front_is_of_their_ndcgs():
    tuned = tune_blend(utility(), KINDS, feed())
    assert tuned.trials.height == 25
    ndcgs = tuned.trials.select("like__ndcg", "comment__ndcg").to_numpy()
    front = tuned.trials.filter(pl.Series(non_dominated(ndcgs)))
    assert tuned.pareto.equals(front)
    assert front.height > 0
    row = tuned.trials.row(13, named=True)
    blend = Blend(
        weights={task: row[f"{task}__weight"] for task in KINDS},
        transform=row["transform"],
        by=row["by"],
    )
    figures = measured(utility(), blend, feed())
    assert (figures.utility, dict(figures.ndcg)) == (
        row["utility"],
        {task: row[f"{task}__ndcg"] for task in KINDS},
    )


def test_the_same_seed_gives_the_same_trials_and_reports_progress():
    calls: list[tuple[Any, ...]] = []
    frame = feed(5_000)
    first = tune_blend(
        utility(trials=14), KINDS, frame, on_progress=lambda *call: calls.append(call)
    )
    again = tune_blend(utility(trials=14), KINDS, frame)
    other = tune_blend(utility(trials=14, seed=1), KINDS, frame)
    assert first.trials.equals(again.trials)
    assert not first.trials.equals(other.trials)
    assert [call[1:] for call in calls] == [(trial, 14) for trial in range(1, 15)]
    assert calls[0][0].startswith("tuning, utility 0.")


def test_one_task_has_no_weights_to_search():
    frame = feed(5_000)
    given = utility(values={"like": 1}, by=(None, "content_type"))
    tuned = tune_blend(given, {"like": "binary"}, frame)
    assert list(tuned.blend.weights) == ["like"]
    assert tuned.trials["start"].null_count() == 0


def test_missing_labels_are_left_out_and_counted():
    frame = feed(5_000).with_columns(
        like=pl.when(pl.int_range(pl.len()) < 100).then(None).otherwise("like").cast(pl.Float64)
    )
    tuned = tune_blend(utility(trials=1), KINDS, frame)
    assert tuned.left_out == 100
    assert math.isfinite(tuned.utility)


def test_impossible_constraints_say_what_could_be_reached():
    frame = feed(2_000)
    wanted = (PHOTOS.model_copy(update={"min_share": 0.9}), Constraint(task="like", min_ndcg=0.1))
    with pytest.raises(RecipeError) as caught:
        tune_blend(utility(constraints=wanted), KINDS, frame)
    counts = frame.group_by("user_id").agg(
        n=pl.len(), mine=(pl.col("content_type") == "photo").sum()
    )
    n, mine = (counts[c].to_numpy().astype(int) for c in ("n", "mine"))
    highest = np.mean(np.minimum(10, mine) / np.minimum(10, n))
    lines = str(caught.value).splitlines()
    assert lines[0] == "none of 8 blends keeps to the constraints:"
    assert lines[1].startswith("- share of content_type 'photo' at least 0.9: nearest 0.")
    assert lines[1].endswith(f"highest that any order of these rows can reach is {highest:.3g}")
    assert lines[2].startswith("- NDCG of task 'like' at least 0.1: nearest ")
    assert lines[3] == "loosen the constraints or set each bound within what an order can reach"


def test_constraints_that_no_blend_keeps_together_advise_a_wider_search():
    videos = Constraint(column="content_type", value="video", min_share=0.76)
    given = utility(constraints=(PHOTOS, videos))
    with pytest.raises(RecipeError) as caught:
        tune_blend(given, KINDS, feed())
    lines = str(caught.value).splitlines()
    assert lines[0] == "none of 25 blends keeps to the constraints:"
    assert lines[-1].startswith("loosen the constraints or search more widely (trials, transforms")


def test_without_optuna_the_error_names_the_extra(monkeypatch):
    real = importlib.import_module

    def missing(name: str):
        if name == "optuna":
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(RecipeError, match=r"pip install 'crosstower\[tune\]'"):
        tune_blend(utility(), KINDS, feed(100))


def test_optuna_is_quiet_and_keeps_its_own_setting(capfd):
    before = optuna.logging.get_verbosity()
    tune_blend(utility(trials=1), KINDS, feed(1_000))
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")
