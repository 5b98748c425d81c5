import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special

from crosstower.blending.blender import fit_blend
from crosstower.errors import DataError, QueryError, RunError
from crosstower.fitting.fit import fit
from crosstower.fitting.off_policy.evaluate import evaluate_policy
from crosstower.fitting.off_policy.importance import Estimate
from crosstower.fitting.off_policy.report import PolicyReport
from crosstower.recipe.blend import Blend
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

from ...fixtures.bandit import (
    ASK,
    CHANCE,
    ITEMS,
    RECIPE,
    ROWS,
    WEIGHTED,
    bandit_log,
    coded,
    printed,
    scored_tables,
)
from ...test_examples import data_folder


def test_the_estimates_hold_the_true_values_of_the_policies(
    bandit_run: Run, bandit_report: PolicyReport, bandit_rows: pl.DataFrame
) -> None:
    test = bandit_rows.filter(pl.col("split") == "test")
    context, _ = coded(test)
    best = scored_tables(bandit_run, test).argmax(axis=1)
    truths = {"model": CHANCE[context, best].mean(), "uniform": CHANCE[context].mean()}
    logged = bandit_report.policies["logged"]["logged"]
    assert logged.value == pytest.approx(test["click"].mean())
    assert truths["model"] - logged.value > 8 * logged.standard_error  # the run has learned
    for name, truth in truths.items():
        for estimator in WEIGHTED:
            found = bandit_report.policies[name][estimator]
            assert abs(found.value - truth) < 4 * found.standard_error, (name, estimator)
    gain = bandit_report.gains["model"].estimate
    assert abs(gain.value - (truths["model"] - logged.value)) < 4 * gain.standard_error
    assert "the policy is better than the log" in bandit_report.verdict()
    assert bandit_report.warnings == ()


def same(found: Estimate, expected: Estimate) -> None:
    assert found.value == pytest.approx(expected.value, rel=1e-5)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-4)
    size = found.effective_sample_size
    assert size == pytest.approx(expected.effective_sample_size, rel=1e-4)


def test_another_log_another_reward_and_rows_without_one(bandit_run: Run) -> None:
    other = bandit_log(3000, seed=9)
    gone = pl.int_range(pl.len()) % 10 == 0
    other = other.with_columns(dwell=pl.when(gone).then(None).otherwise("dwell"))
    report = evaluate_policy(bandit_run, **ASK, data=other.drop("click", "split"), reward="dwell")
    assert (report.rows, report.facts.score) == (2700, "dwell__prediction")
    assert report.policies["logged"]["logged"].value == pytest.approx(other["dwell"].mean())
    assert report.warnings[0] == "300 of 3,000 rows have no dwell and are omitted."
    known = other.drop_nulls("dwell")
    best = scored_tables(bandit_run, known, "dwell").argmax(axis=1)
    truth = 30.0 * CHANCE[coded(known)[0], best].mean()
    robust = report.policies["model"]["doubly_robust"]
    assert abs(robust.value - truth) < 4 * robust.standard_error


def test_rows_that_were_trained_on_are_seen(bandit_run: Run, bandit_rows: pl.DataFrame) -> None:
    folder = bandit_run.folder.parent
    for data in (folder / "log.parquet", str(folder / "log.parquet"), bandit_rows):
        report = evaluate_policy(bandit_run, **ASK, data=data)
        assert report.rows == ROWS
        assert "the log seems to be the training data of the run" in report.warnings[0]
    other = bandit_rows.head(bandit_rows.height // 2)
    report = evaluate_policy(bandit_run, **ASK, data=other)
    assert not any("training data" in words for words in report.warnings)


def test_given_item_columns_alone_follow_from_the_action(
    bandit_run: Run, bandit_report: PolicyReport
) -> None:
    same_columns = evaluate_policy(bandit_run, **ASK, item_columns=["colour"])
    assert same_columns.policies == bandit_report.policies
    none = evaluate_policy(bandit_run, **ASK, item_columns=[])
    assert none.facts.item_columns == ()
    assert none.policies["model"] != bandit_report.policies["model"]  # the logged colour stays


def test_each_slot_is_a_log_of_its_own(bandit_run: Run, bandit_rows: pl.DataFrame) -> None:
    report = evaluate_policy(bandit_run, **ASK, slot="place")
    assert list(report.slots) == ["1", "2", "3"]
    for place, found in report.slots.items():
        part = bandit_rows.filter(pl.col("split") == "test", pl.col("place") == int(place))
        alone = evaluate_policy(bandit_run, **ASK, data=part)
        same(found["logged"], alone.policies["logged"]["logged"])
        same(found["model"], alone.policies["model"]["doubly_robust"])


def test_a_slot_that_goes_with_the_action_stays_as_it_is(
    bandit_run: Run, bandit_rows: pl.DataFrame
) -> None:
    test = bandit_rows.filter(pl.col("split") == "test")
    fixed = test.with_columns(place=(pl.col("item_id") % 2) + 1)
    found = evaluate_policy(bandit_run, **ASK, data=fixed).facts.item_columns
    assert found == ("colour", "place")
    assert evaluate_policy(bandit_run, **ASK, data=fixed, slot="place").facts.item_columns == (
        "colour",
    )


def test_a_blend_orders_where_the_run_has_one(
    bandit_run: Run, bandit_rows: pl.DataFrame, tmp_path: Path
) -> None:
    folder = bandit_run.model_folder("wide_deep", 0)
    valid = pl.read_parquet(folder / "valid.parquet")
    spec = Blend(weights={"click": -1.0}, transform="logit")
    path = folder / "blend.json"
    fit_blend(spec, {"click": "binary", "dwell": "regression"}, valid).save(path)
    try:
        report = evaluate_policy(bandit_run, **ASK)
    finally:
        path.unlink()
    test = bandit_rows.filter(pl.col("split") == "test")
    worst = scored_tables(bandit_run, test).argmin(axis=1)
    truth = CHANCE[coded(test)[0], worst].mean()
    assert report.facts.score == "blend__score"
    robust = report.policies["model"]["doubly_robust"]
    assert abs(robust.value - truth) < 4 * robust.standard_error
    assert "the policy is worse than the log" in report.verdict()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"action": "item"}, DataError, "no column 'item'; did you mean 'item_id'"),
        ({"propensity": "propensty"}, DataError, "did you mean 'propensity'"),
        ({"slot": "plce"}, DataError, "no column 'plce'; did you mean 'place'"),
        ({"item_columns": ["color"]}, DataError, "no column 'color'; did you mean 'colour'"),
        ({"reward": "clik"}, RunError, "no task 'clik' .*; did you mean 'click'"),
        ({"action": "split"}, RunError, "reads neither 'split' nor .*; it reads: context, item_id"),
        (
            {"propensity": "place"},
            DataError,
            "'place': expected the probability .* got [23]; rows without one:",
        ),
        ({"propensity": "dwell"}, DataError, r"in \(0, 1\]"),
        (
            {"propensity": "context"},
            DataError,
            "column 'context': .* got '[abcd]'; rows without one: 5,",
        ),
        ({"item_columns": ["place"]}, DataError, r"'place': .* several for item_id 10\d;"),
        ({"slot": "dwell"}, DataError, "at most 100 positions, got [12],"),
        ({"temperature": -1.0}, QueryError, "temperature: .* got -1.0"),
        ({"clip": 0.0}, QueryError, "clip: .* got 0.0"),
        ({"refits": 1}, QueryError, "refits: expected 0, or at least 2 training runs"),
        ({"target_actions": "place"}, QueryError, "target_actions: 'place' names actions without"),
        ({"target": "context"}, DataError, "target column 'context': expected the chance"),
        ({"target": "dwell"}, DataError, r"target column 'dwell': expected chances in \[0, 1\]"),
    ],
)
def test_bad_questions_are_named(
    bandit_run: Run, change: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        evaluate_policy(bandit_run, **(ASK | change))  # type: ignore[arg-type]


def test_bad_logs_are_named(bandit_run: Run, bandit_rows: pl.DataFrame) -> None:
    rows = bandit_rows.head(200)
    with pytest.raises(
        DataError, match=r"'propensity': .* got None; rows without one: 200 of 200;"
    ):
        evaluate_policy(bandit_run, **ASK, data=rows.with_columns(propensity=pl.lit(None)))
    first = pl.int_range(pl.len()) == 0
    nobody = rows.with_columns(item_id=pl.when(first).then(None).otherwise("item_id"))
    with pytest.raises(DataError, match="'item_id': 1 of 200 rows have no action"):
        evaluate_policy(bandit_run, **ASK, data=nobody, item_columns=[])


def test_a_run_of_a_frame_needs_a_log(tmp_path: Path, bandit_rows: pl.DataFrame) -> None:
    recipe = parse_recipe(RECIPE, ["training.epochs=1"])
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": None})})
    run = fit(recipe, data=bandit_rows, out=tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match=r"from a data frame, .* give a log of other rows"):
        evaluate_policy(run, **ASK)
    assert evaluate_policy(run, **ASK, data=bandit_log(500, seed=3)).rows == 500


def test_rows_that_changed_since_the_training_are_refused(
    tmp_path: Path, bandit_rows: pl.DataFrame
) -> None:
    bandit_rows.write_parquet(tmp_path / "log.parquet")
    recipe = parse_recipe(RECIPE, ["training.epochs=1"], folder=tmp_path)
    run = fit(recipe, out=tmp_path / "run", quiet=True)
    bandit_rows.reverse().write_parquet(tmp_path / "log.parquet")
    with pytest.raises(RunError, match="have changed since the training"):
        evaluate_policy(run, **ASK)
    (run.model_folder("wide_deep", 0) / "test.parquet").unlink()
    with pytest.raises(RunError, match="training has not finished"):
        evaluate_policy(run, **ASK)


def test_a_run_that_retrieves_is_refused(bandit_run: Run) -> None:
    text = "{schema: {columns: {u: categorical, i: categorical}},"
    recipe: Recipe = parse_recipe(text + " retrieval: {user: u, item: i}}")
    with pytest.raises(RunError, match="retrieval runs have no task to use"):
        evaluate_policy(Run(bandit_run.folder, recipe, bandit_run.info), **ASK)


def with_policy(log: pl.DataFrame, sharp: float = 3.0) -> pl.DataFrame:
    """Add a policy that leans to what is clicked: `all`, its chances, and `one` of the action."""
    context, item = coded(log)
    chances = special.softmax(sharp * CHANCE, axis=1)[context]
    return log.with_columns(
        pl.Series("all", chances), pl.Series("one", chances[np.arange(len(item)), item])
    )


def test_a_given_policy_is_worth_what_the_world_says(
    bandit_run: Run, bandit_rows: pl.DataFrame, tmp_path: Path
) -> None:
    rows = with_policy(bandit_rows.filter(pl.col("split") == "test"))
    report = evaluate_policy(bandit_run, **ASK, data=rows, target="all")
    context, _ = coded(rows)
    chances = special.softmax(3.0 * CHANCE, axis=1)
    truth = (chances * CHANCE).sum(axis=1)[context].mean()
    found = report.policies["target"]
    for name in (*WEIGHTED, "switch_doubly_robust", "shrunk_doubly_robust"):
        assert abs(found[name].value - truth) < 4 * found[name].standard_error, name
    scores = scored_tables(bandit_run, rows)
    expected = (chances[context] * scores).sum(axis=1).mean()
    assert found["direct_method"].value == pytest.approx(expected, rel=1e-5)
    one = evaluate_policy(bandit_run, **ASK, data=rows, target="one").policies["target"]
    assert list(one) == ["inverse_propensity", "self_normalised"]
    for name, estimate in one.items():
        same(estimate, found[name])
    order = np.random.default_rng(0).permutation(ITEMS)
    shuffled = rows.with_columns(
        pl.Series("all", chances[context][:, order]),
        pl.Series("ids", np.tile(order + 100, (rows.height, 1))),
    )
    again = evaluate_policy(bandit_run, **ASK, data=shuffled, target="all", target_actions="ids")
    same(again.policies["target"]["doubly_robust"], found["doubly_robust"])
    rows.write_parquet(tmp_path / "log.parquet")
    out = printed(bandit_run, "--data", str(tmp_path / "log.parquet"), "--target", "all")
    assert "with the policy in 'all' (doubly robust)" in " ".join(out.split())
    assert max(len(line) for line in out.splitlines()) <= 100


def open_bandit() -> Path:
    data = data_folder()
    if data is None or not (data / "open-bandit-women").is_dir():
        pytest.skip("open-bandit-women: not at hand; set CROSSTOWER_DATA to its parent folder")
    return data / "open-bandit-women" / "random.parquet"


FASHION = """
name: fashion
data: {path: PATH, split: {kind: random, fractions: [0.4, 0.2, 0.4]}}
schema:
  columns:
    item_id: categorical
    position: categorical
    user_feature_0: categorical
    user_feature_1: categorical
    user_feature_2: categorical
    user_feature_3: categorical
  tasks: {click: binary}
model: {name: logistic_regression}
training: {epochs: 1}
evaluation: {baselines: []}
"""


def test_uniformly_shown_fashion_is_worth_what_was_logged(tmp_path: Path) -> None:
    recipe = parse_recipe(FASHION.replace("PATH", str(open_bandit())))
    run = fit(recipe, out=tmp_path / "run", quiet=True)
    report = evaluate_policy(
        run, action="item_id", propensity="propensity_score", slot="position", temperature=0.01
    )
    assert (report.facts.actions, report.facts.item_columns) == (46, ())
    # The log was drawn uniformly: that policy has weights of 1, and its value is the click rate.
    logged, uniform = report.policies["logged"]["logged"], report.policies["uniform"]
    for name in ("inverse_propensity", "self_normalised"):
        assert uniform[name].value == pytest.approx(logged.value, rel=1e-6)
        assert uniform[name].effective_sample_size == pytest.approx(report.rows)
    model = report.policies["model"]["self_normalised"]
    assert abs(model.value - logged.value) < 5 * model.standard_error
    assert not math.isnan(report.gains["model"].estimate.standard_error)
    assert list(report.slots) == ["1", "2", "3"]


def test_the_random_log_judges_the_thompson_policy(tmp_path: Path) -> None:
    """The chances of bts are the shares of items by position in its own log."""
    random = pl.read_parquet(open_bandit())
    bts = pl.read_parquet(open_bandit().with_name("bts.parquet"))
    shares = bts.group_by("position", "item_id").len()
    shares = shares.pivot("item_id", index="position", values="len").fill_null(0)
    items = sorted((c for c in shares.columns if c != "position"), key=int)
    counts = shares.select(items).to_numpy()
    policy = pl.DataFrame(
        {"position": shares["position"], "bts": counts / counts.sum(axis=1, keepdims=True)}
    )
    policy = policy.with_columns(pl.lit([list(map(int, items))]).list.first().alias("items"))
    random.join(policy, on="position", maintain_order="left").write_parquet(tmp_path / "r.parquet")
    run = fit(
        parse_recipe(FASHION.replace("PATH", str(tmp_path / "r.parquet"))),
        out=tmp_path / "run",
        quiet=True,
    )
    report = evaluate_policy(
        run, action="item_id", propensity="propensity_score", target="bts", target_actions="items"
    )
    rate = float(bts["click"].mean())  # type: ignore[arg-type]
    for name in ("self_normalised", "doubly_robust", "shrunk_doubly_robust"):
        found = report.policies["target"][name]
        assert abs(found.value - rate) < 4 * found.standard_error, name
    assert "policy in 'bts'" in report.verdict("target")
