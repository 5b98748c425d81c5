"""Off-policy evaluation of a bundle from the lists that a server has logged."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.errors import DataError, RunError, ServeError
from crosstower.recipe.rules import Rules
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.off_policy import evaluate_logged
from crosstower.serving.state.events import Event
from crosstower.serving.state.impressions import impression_events
from crosstower.serving.state.state import State

from ..fixtures.counted_films import CountedFilms
from ..fixtures.funnels import Runs
from ..fixtures.logged import POOL, SHOWN, candidates_of, log_lists, true_value

ESTIMATORS = ("inverse_propensity", "self_normalised", "doubly_robust")
LISTS = 500
SOFT = 1.0  # temperature of the logging policy, in units of the spread of the scores


def spread(live: Live) -> float:
    return float(candidates_of(live, 1).score.std())


@pytest.mark.slow
def test_estimates_cover_the_true_value(live: Live, bundle: Bundle, tmp_path: Path) -> None:
    log_lists(live, tmp_path, PlackettLuce(temperature=SOFT * spread(live)), lists=LISTS)
    report = evaluate_logged(bundle, tmp_path, temperature=0.4 * spread(live))
    truth = true_value(live, 0.4 * spread(live))
    for name in ESTIMATORS:
        found = report.policies["model"][name]
        assert abs(found.value - truth) < 4 * found.standard_error, name
        assert 0 < found.standard_error < 0.05
    assert (report.rows, report.facts.lists) == (LISTS * SHOWN, LISTS)
    assert list(report.slots) == ["1", "2", "3"]
    assert not [words for words in report.warnings if "mean weight" in words]


def test_the_value_of_the_logging_policy_is_its_own_mean(
    live: Live, bundle: Bundle, tmp_path: Path
) -> None:
    temperature = SOFT * spread(live)
    log_lists(live, tmp_path, PlackettLuce(temperature=temperature), lists=40)
    report = evaluate_logged(bundle, tmp_path, temperature=temperature)
    logged = report.policies["logged"]["logged"].value
    assert report.policies["model"]["inverse_propensity"].value == pytest.approx(logged, rel=1e-6)
    assert report.policies["model"]["inverse_propensity"].max_weight == pytest.approx(1.0, rel=1e-6)


def test_wrong_propensities_are_noticed(live: Live, bundle: Bundle, tmp_path: Path) -> None:
    kind = PlackettLuce(temperature=0.3 * spread(live))
    log_lists(live, tmp_path, kind, lists=200, propensity=1 / POOL)
    report = evaluate_logged(bundle, tmp_path, temperature=0.3 * spread(live))
    assert [words for words in report.warnings if words.startswith("model: the mean weight")]


def test_the_best_order_is_evaluated_at_temperature_0(
    live: Live, bundle: Bundle, tmp_path: Path
) -> None:
    log_lists(live, tmp_path, Epsilon(epsilon=0.8), lists=300)
    report = evaluate_logged(bundle, tmp_path)
    found, truth = report.policies["model"]["inverse_propensity"], true_value(live, 1e-9)
    assert abs(found.value - truth) < 4 * found.standard_error


@pytest.mark.slow
def test_rules_of_the_bundle_are_not_applied_again(
    live: Live, bundle: Bundle, blended: Runs, tmp_path: Path
) -> None:
    city = live.needs_funnel.catalogue.items.attributes(
        live.needs_funnel.catalogue.items.places_of(candidates_of(live, 1).ids[:1])
    )[0]["city"]
    rules = Rules(exclude=[f"city == '{city}'"], boost=[{"where": "price > 0", "add": 3}])
    runs = [blended.retrieval, blended.ranking]
    ruled = make_bundle(runs, tmp_path / "ruled", candidates=50, rules=rules)
    log_lists(live, tmp_path / "state", Epsilon(epsilon=0.5), lists=30)
    expected = evaluate_logged(bundle, tmp_path / "state").plain()
    assert evaluate_logged(ruled, tmp_path / "state").plain() == expected


def test_lists_of_other_times_are_left_out(live: Live, bundle: Bundle, tmp_path: Path) -> None:
    log_lists(live, tmp_path, Epsilon(epsilon=0.5), lists=20)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert evaluate_logged(bundle, tmp_path, until=tomorrow).facts.lists == 20
    with pytest.raises(DataError, match="no list of the log can be used"):
        evaluate_logged(bundle, tmp_path, after=tomorrow)


def test_lists_that_cannot_be_used_are_counted(live: Live, bundle: Bundle, tmp_path: Path) -> None:
    log_lists(live, tmp_path, Epsilon(epsilon=0.5), lists=20)
    ids = candidates_of(live, 1).ids
    item = {"item_id": ids[0], "rank": 1, "score": 1.0, "propensity": 0.5,
            "conditional_propensity": None, "drawn_rank": 1}  # fmt: skip
    common = {"version": "v", "user": 1, "query": {}, "explore": None}
    with State.open(tmp_path) as state:
        for request_id, candidates in (
            ("twice", ids), ("twice", ids), ("not drawn", []), ("gone", [*ids, -5]),
        ):  # fmt: skip
            state.add_events(
                impression_events([item], request_id=request_id, candidates=candidates, **common)
            )
        # Impressions and recommendations of clients are not the server's.
        state.add_events([Event(event_id="a/1", type="impression", item_id=3, rank=1),
                          Event(event_id="a", type="recommendation", request_id="b")])  # fmt: skip
    report = evaluate_logged(bundle, tmp_path)
    assert report.facts.lists == 20
    assert report.warnings[:3] == (
        "2 of 24 logged lists share their request id with another list; they are left out.",
        "1 of 24 logged lists were not drawn; they are left out.",
        "1 of 24 logged lists have candidates that are no longer items; they are left out.",
    )


def test_feedback_without_request_ids_is_noticed(
    live: Live, bundle: Bundle, tmp_path: Path
) -> None:
    log_lists(live, tmp_path, Epsilon(epsilon=0.5), lists=20)
    report = evaluate_logged(bundle, tmp_path, event="purchase")
    assert "no shown item has a reward: does the feedback have request_id?" in report.warnings


def test_items_of_the_state_are_candidates_too(live: Live, bundle: Bundle, tmp_path: Path) -> None:
    ids = candidates_of(live, 1).ids
    new = {"listing_id": 10**6, "city": "Oslo", "price": 50.0, "amenities": ["wifi"]}
    item = {"item_id": 10**6, "rank": 1, "score": 1.0, "propensity": 0.25,
            "conditional_propensity": None, "drawn_rank": 1}  # fmt: skip
    with State.open(tmp_path) as state:
        state.put_items([new], item="listing_id")
        for name in "ab":
            state.add_events(
                impression_events([item], request_id=name, candidates=[*ids, 10**6], version="v",
                                  user=1, query={}, explore=None)
            )  # fmt: skip
    assert evaluate_logged(bundle, tmp_path, temperature=1e9).facts.lists == 2


def test_a_ranker_that_counts_events_is_refused(
    counted_films: CountedFilms, tmp_path: Path
) -> None:
    with (
        State.open(tmp_path),
        pytest.raises(
            RunError, match=r"column 'clicks' counts events, but the counts at the times"
        ),
    ):
        evaluate_logged(counted_films.bundle, tmp_path)


def test_impossible_questions_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="not the state of a server"):
        evaluate_logged(bundle, tmp_path)
    with State.open(tmp_path):
        pass
    with pytest.raises(RunError, match=r"no task 'clik'.*did you mean 'click'"):
        evaluate_logged(bundle, tmp_path, reward="clik")
    with pytest.raises(DataError, match="no list of the log can be used"):
        evaluate_logged(bundle, tmp_path)
