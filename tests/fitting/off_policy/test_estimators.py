import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from crosstower.errors import DataError, QueryError
from crosstower.fitting.off_policy.estimators import (
    all_estimates,
    direct_method,
    doubly_robust,
    inverse_propensity,
    on_policy,
    policy_probabilities,
    self_normalised,
)

from ...test_examples import data_folder

CONTEXTS, ACTIONS = 8, 5


class Bandit:
    """Contexts that are equally likely, actions with a known chance of a reward of 0 or 1."""

    def __init__(self, seed=0):
        random = np.random.default_rng(seed)
        self.chance = special.expit(random.normal(-0.5, 1.2, (CONTEXTS, ACTIONS)))
        self.logging = policy_probabilities(random.normal(size=(CONTEXTS, ACTIONS)), 1.0)
        self.policy = policy_probabilities(self.chance, 0.3)  # leans to what is rewarded
        self.value = float((self.policy * self.chance).sum(axis=1).mean())

    def log(self, rows, seed):
        """Return context, action and reward of `rows` draws by the logging policy."""
        random = np.random.default_rng(seed)
        context = random.integers(0, CONTEXTS, rows)
        action = (random.random((rows, 1)) > self.logging.cumsum(axis=1)[context]).sum(axis=1)
        return context, action, (random.random(rows) < self.chance[context, action]) * 1.0

    def estimates(self, rows, seed, *, model=None, logging=None):
        context, action, reward = self.log(rows, seed)
        logging = self.logging if logging is None else logging
        model = self.chance if model is None else model
        expected = (self.policy * model).sum(axis=1)[context]
        return all_estimates(
            reward,
            logging[context, action],
            self.policy[context, action],
            predicted=model[context, action],
            predicted_target=expected,
            refits=np.stack([expected, expected]),  # the model is given, not learned
        )


def repeated(**wrong):
    """Return {name: [repeats, 2]} values and standard errors of many small logs."""
    bandit = Bandit()
    runs = [bandit.estimates(400, seed, **wrong) for seed in range(600)]
    return bandit, {
        name: np.array([(run[name].value, run[name].standard_error) for run in runs])
        for name in runs[0]
    }


WRONG_MODEL = np.random.default_rng(1).random((CONTEXTS, ACTIONS))
WRONG_LOGGING = policy_probabilities(np.random.default_rng(2).normal(size=(CONTEXTS, ACTIONS)), 1.0)


def sds_from(value, estimates):
    return abs(estimates[:, 0].mean() - value) / stats.sem(estimates[:, 0])


def test_estimates_of_a_known_value_have_no_bias_and_know_their_noise():
    bandit, found = repeated()
    logged = (bandit.logging * bandit.chance).sum(axis=1).mean()
    assert abs(logged - bandit.value) > 0.05  # the policies differ
    for name, estimates in found.items():
        value = logged if name == "logged" else bandit.value
        assert sds_from(value, estimates) < 4.0, name
        spread, gaps = estimates[:, 0].std(), (estimates[:, 0] - value) / estimates[:, 1]
        held = (np.abs(gaps) < stats.norm.ppf(0.975)).mean()
        if name in ("switch_doubly_robust", "shrunk_doubly_robust"):  # allowing for their bias
            assert spread < found["doubly_robust"][:, 0].std()
            assert 0.94 < held < 0.995, name
            continue
        assert estimates[:, 1].mean() == pytest.approx(spread, rel=0.15), name
        assert 0.92 < held < 0.975, name


def test_a_good_reward_model_takes_variance_away():
    _, found = repeated()
    spread = {name: estimates[:, 0].std() for name, estimates in found.items()}
    assert spread["doubly_robust"] < 0.8 * spread["inverse_propensity"]
    assert spread["self_normalised"] < 0.9 * spread["inverse_propensity"]


@pytest.mark.slow
def test_doubly_robust_forgives_a_wrong_model():
    bandit, found = repeated(model=WRONG_MODEL)
    assert sds_from(bandit.value, found["direct_method"]) > 10.0
    assert sds_from(bandit.value, found["doubly_robust"]) < 4.0


@pytest.mark.slow
def test_smaller_weights_say_how_far_a_wrong_model_may_lead_them():
    bandit, found = repeated(model=WRONG_MODEL)
    whole = np.sqrt(np.mean((found["doubly_robust"][:, 0] - bandit.value) ** 2))
    for name in ("switch_doubly_robust", "shrunk_doubly_robust"):
        gaps = found[name][:, 0] - bandit.value
        assert np.sqrt(np.mean(gaps**2)) < whole
        assert (np.abs(gaps) < 1.96 * found[name][:, 1]).mean() > 0.93, name


def test_doubly_robust_forgives_wrong_propensities():
    bandit, found = repeated(logging=WRONG_LOGGING)
    assert sds_from(bandit.value, found["inverse_propensity"]) > 10.0
    assert sds_from(bandit.value, found["self_normalised"]) > 10.0
    assert sds_from(bandit.value, found["doubly_robust"]) < 4.0


@pytest.mark.slow
def test_doubly_robust_cannot_forgive_both():
    bandit, found = repeated(model=WRONG_MODEL, logging=WRONG_LOGGING)
    assert sds_from(bandit.value, found["doubly_robust"]) > 10.0


def a_log(seed=0, rows=50):
    random = np.random.default_rng(seed)
    columns = {
        "reward": random.normal(2.0, 1.0, rows),
        "propensity": random.uniform(0.05, 1.0, rows),
        "target": random.random(rows) * (random.random(rows) < 0.8),
        "predicted": random.normal(2.0, 0.5, rows),
        "predicted_target": random.normal(2.0, 0.5, rows),
    }
    return columns, [columns[name] for name in ("reward", "propensity", "target")]


@pytest.mark.parametrize("clip", [None, 1.5])
def test_values_and_errors_are_those_of_the_formulas(clip):
    columns, (r, p, t) = a_log()
    w = t / p if clip is None else np.clip(t / p, None, clip)
    q, v = columns["predicted"], columns["predicted_target"]
    found = all_estimates(**columns, clip=clip)
    assert list(found) == [
        "logged",
        "inverse_propensity",
        "self_normalised",
        "direct_method",
        "doubly_robust",
        "switch_doubly_robust",
        "shrunk_doubly_robust",
    ]
    assert math.isnan(found["direct_method"].standard_error)  # it has been trained once
    for name, terms in {
        "logged": r,
        "inverse_propensity": w * r,
        "direct_method": v,
        "doubly_robust": v + w * (r - q),
    }.items():
        assert found[name].value == pytest.approx(terms.mean(), rel=1e-12)
        if name != "direct_method":
            assert found[name].standard_error == pytest.approx(stats.sem(terms), rel=1e-12)
    # The variance of a ratio of two means, by their covariance matrix.
    ratio = (w * r).sum() / w.sum()
    gradient = np.array([1.0, -ratio]) / w.mean()
    variance = gradient @ np.cov(w * r, w) @ gradient / len(r)
    assert found["self_normalised"].value == pytest.approx(ratio, rel=1e-12)
    assert found["self_normalised"].standard_error == pytest.approx(math.sqrt(variance), rel=1e-12)
    for name in ("inverse_propensity", "self_normalised", "doubly_robust"):
        one = found[name]
        assert one.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
        assert one.max_weight == pytest.approx((t / p).max())
        assert one.clipped == (0 if clip is None else np.sum(t / p > clip))
        assert one.rows == 50


def test_the_direct_methods_error_is_that_of_rows_and_of_models_together():
    random = np.random.default_rng(1)
    expected, refits = random.normal(size=50), random.normal(size=(30, 50))
    found = direct_method(expected, refits)
    variance = expected.var(ddof=1) / 50 + refits.mean(axis=1).var(ddof=1)
    assert found.value == pytest.approx(expected.mean())
    assert found.standard_error == pytest.approx(math.sqrt(variance))
    for wrong in (refits[0], refits[:1], refits[:, :9]):
        with pytest.raises(DataError, match=r"refits: expected \[M, 50\] with M of at least 2"):
            direct_method(expected, wrong)
    with pytest.raises(DataError, match="refits: expected a finite number"):
        direct_method(expected, np.where(refits > 1, np.nan, refits))


def test_with_refits_the_direct_methods_interval_holds_the_truth_as_often_as_it_says():
    """The model is a mean of each context and action, learned from as many rows as are judged."""
    bandit, rows, held = Bandit(), 1500, {"rows alone": 0, "refits": 0}

    def table(context, action, reward):
        cell = context * ACTIONS + action
        shown, earned = (
            np.bincount(cell, weights, CONTEXTS * ACTIONS) for weights in (None, reward)
        )
        means = (earned + 0.05) / (shown + 0.1)
        return (bandit.policy * means.reshape(CONTEXTS, ACTIONS)).sum(axis=1)

    for seed in range(200):
        learned, random = bandit.log(rows, 2 * seed), np.random.default_rng(seed)
        context = bandit.log(rows, 2 * seed + 1)[0]
        draws = random.integers(0, rows, (20, rows))
        refits = np.stack([table(*(column[d] for column in learned))[context] for d in draws])
        expected = table(*learned)[context]
        for name, models in {"rows alone": refits[[0, 0]], "refits": refits}.items():
            low, high = direct_method(expected, models).interval()
            held[name] += low < bandit.value < high
    assert held["rows alone"] / 200 < 0.4
    assert 0.9 < held["refits"] / 200 < 0.99


def test_without_a_reward_model_its_estimates_are_left_out():
    columns, logged = a_log()
    found, full = all_estimates(*logged), all_estimates(**columns)
    assert list(found) == ["logged", "inverse_propensity", "self_normalised"]
    assert all(found[name] == full[name] for name in found)


def test_estimates_without_weights_count_each_row_once():
    columns, _ = a_log()
    for found in (on_policy(columns["reward"]), direct_method(columns["predicted_target"])):
        assert (found.rows, found.effective_sample_size) == (50, 50.0)
        assert (found.max_weight, found.clipped) == (1.0, 0)


def test_the_logging_policy_evaluated_on_its_own_log_is_the_mean_reward():
    _, (reward, propensity, _) = a_log()
    mean = on_policy(reward)
    for estimate in (inverse_propensity, self_normalised):
        found = estimate(reward, propensity, propensity)
        assert found.value == pytest.approx(mean.value, rel=1e-12)
        assert found.standard_error == pytest.approx(mean.standard_error, rel=1e-12)
        assert found.effective_sample_size == pytest.approx(50.0)
    assert mean.standard_error == pytest.approx(stats.sem(reward), rel=1e-12)


@given(seed=st.integers(0, 9999), shift=st.floats(-5, 5))
def test_self_normalised_moves_with_the_rewards_and_stays_in_their_range(seed, shift):
    _, (reward, propensity, target) = a_log(seed)
    found = self_normalised(reward, propensity, target)
    moved = self_normalised(reward + shift, propensity, target)
    assert moved.value == pytest.approx(found.value + shift, abs=1e-9)
    assert moved.standard_error == pytest.approx(found.standard_error, abs=1e-9)
    assert reward.min() <= found.value <= reward.max()


def test_doubly_robust_without_a_model_is_inverse_propensity_and_clips_towards_the_model():
    columns, logged = a_log()
    zero = np.zeros(50)
    assert doubly_robust(*logged, zero, zero) == inverse_propensity(*logged)
    near = doubly_robust(**columns, clip=1e-9)
    model = direct_method(columns["predicted_target"])
    assert near.value == pytest.approx(model.value, abs=1e-7)
    assert near.standard_error == pytest.approx(stats.sem(columns["predicted_target"]), abs=1e-7)


def test_a_bad_reward_model_is_named():
    columns, _ = a_log()
    with pytest.raises(DataError, match="predicted: expected a finite number, got nan in row 0"):
        doubly_robust(**(columns | {"predicted": np.full(50, np.nan)}))
    with pytest.raises(DataError, match="reward 50, predicted 50, predicted_target 49"):
        doubly_robust(**(columns | {"predicted_target": np.ones(49)}))
    with pytest.raises(DataError, match="give both or neither"):
        all_estimates(**(columns | {"predicted": None}))
    with pytest.raises(DataError, match=r"predicted_target: .* at least one logged row"):
        direct_method(np.empty(0))


@given(seed=st.integers(0, 9999), temperature=st.floats(0.01, 100))
def test_a_policy_is_scipys_softmax(seed, temperature):
    scores = np.random.default_rng(seed).normal(scale=50, size=(6, 4))
    found = policy_probabilities(scores, temperature)
    np.testing.assert_allclose(found, special.softmax(scores / temperature, axis=1), atol=1e-12)


def test_a_cold_policy_is_the_greedy_one_which_shares_ties():
    scores = np.array([[1, 3, 2], [5, 5, 1], [0, 0, 0]])
    greedy = policy_probabilities(scores, 0)
    assert greedy.tolist() == [[0, 1, 0], [0.5, 0.5, 0], [1 / 3] * 3]
    for temperature in (1e-3, 1e-320):
        np.testing.assert_allclose(policy_probabilities(scores, temperature), greedy, atol=1e-12)
    hot = policy_probabilities(scores.astype(np.float32), 1e9)
    np.testing.assert_allclose(hot, 1 / 3, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_action_that_a_row_does_not_have_is_never_taken(temperature):
    found = policy_probabilities(np.array([[1.0, -np.inf, 1.0]]), temperature)
    assert found.tolist() == [[0.5, 0.0, 0.5]]


@pytest.mark.parametrize(
    ("scores", "temperature", "words"),
    [
        (np.ones(3), 1.0, r"matrix \[rows, actions\], got shape \(3,\)"),
        (np.ones((3, 0)), 1.0, r"matrix \[rows, actions\], got shape \(3, 0\)"),
        (np.array([[1.0, 2.0], [np.nan, 2.0]]), 1.0, "got nan in row 1"),
        (np.array([[np.inf, 2.0]]), 0.0, "got inf in row 0"),
        (np.full((1, 2), -np.inf), 1.0, "at least one action in each row, got -inf in row 0"),
    ],
)
def test_bad_scores_are_named(scores, temperature, words):
    with pytest.raises(DataError, match=words):
        policy_probabilities(scores, temperature)


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf])
def test_a_temperature_is_a_number_of_0_or_more(temperature):
    with pytest.raises(QueryError, match=f"temperature: .* got {temperature}"):
        policy_probabilities(np.ones((2, 2)), temperature)


def open_bandit():
    data = data_folder()
    if data is None or not (data / "open-bandit-women").is_dir():
        pytest.skip("open-bandit-women: not at hand; set CROSSTOWER_DATA to its parent folder")
    return [
        pl.read_parquet(data / "open-bandit-women" / f"{name}.parquet")
        for name in ("random", "bts")
    ]


def test_the_random_log_tells_the_click_rate_of_thompson_sampling():
    random, bts = open_bandit()
    place = ["position", "item_id"]
    # The logged propensities of bts change with time and a row is logged in proportion to its own,
    # so that their mean over rows is too high: over the items of a position it sums to 2 and more.
    # How often an item was shown is what the changing policy did on average.
    logged = bts.group_by(place).agg(pl.col("propensity_score").mean(), pl.len().alias("shown"))
    assert (
        logged.group_by("position").agg(pl.col("propensity_score").sum())["propensity_score"].min()
        > 1.5
    )
    policy = logged.with_columns(
        (pl.col("shown") / pl.col("shown").sum().over("position")).alias("target")
    )
    rows = random.join(policy.select(*place, "target"), on=place, how="left", maintain_order="left")
    columns = (rows["click"], rows["propensity_score"], rows["target"].fill_null(0.0))
    rate = on_policy(bts["click"])
    for estimate in (inverse_propensity, self_normalised):
        found = estimate(*columns)
        low, high = found.interval()
        assert low < rate.value < high
        assert 1000 < found.effective_sample_size < 10_000
    weights = rows["target"] / rows["propensity_score"]
    assert weights.mean() == pytest.approx(1.0, abs=4 * stats.sem(weights))
