"""Lists after rules in the batch evaluation, against those of requests."""

from dataclasses import replace

import numpy as np
import pytest

from crosstower.errors import QueryError
from crosstower.funnel.evaluation import evaluate_funnel, funnel_lists
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.offline_rules import rule_notes
from crosstower.funnel.queries import FunnelQueries, queries_of_run
from crosstower.recipe.rules import Rules

from ..fixtures.funnels import Runs

RULES = Rules(
    boost={"where": "price < 90", "multiply": 1.5},
    spacing={"column": "city", "strength": 0.05},
    max_per={"column": "city", "most": 2, "within": 5},
    pin={"item": 17, "at": 2},
)


@pytest.fixture(scope="module")
def funnel(blended: Runs) -> Funnel:
    return Funnel.open(blended.retrieval, blended.ranking, candidates=40, rules=RULES)


@pytest.fixture(scope="module")
def queries(funnel: Funnel) -> FunnelQueries:
    return queries_of_run(funnel, [], lambda _stage, _rows: None)


def test_the_evaluation_applies_rules_as_a_server_does(
    funnel: Funnel, queries: FunnelQueries
) -> None:
    # A pin of an item that was not retrieved would add a candidate to a request's list.
    some = replace(funnel, rules=RULES.model_copy(update={"pin": ()}))
    lists = funnel_lists(some, queries, k=10, limit=10**7)
    assert list(lists.shown)[:5] == ["popular", "retrieved", "ranked", "blended", "diversified"]
    assert (lists.shown["ruled"] != lists.shown["diversified"]).any()
    city = some.retriever.catalogue.attributes["city"].to_numpy()
    kept = 0
    for candidates, shown in zip(lists.candidates, lists.shown["ruled"], strict=True):
        counts = np.unique(city[candidates[candidates >= 0]], return_counts=True)[1]
        windows = [city[shown[start : start + 5]] for start in range(6)]
        if np.minimum(counts, 4).sum() >= 10:  # at most two in each half of the list
            assert max(np.unique(w, return_counts=True)[1].max() for w in windows) <= 2
            kept += 1
    assert kept > 10


def test_a_funnel_without_rules_has_no_such_stage(funnel: Funnel, queries: FunnelQueries) -> None:
    lists = funnel_lists(replace(funnel, rules=Rules()), queries, k=10, limit=10**7)
    assert "ruled" not in lists.shown


@pytest.mark.slow
def test_a_pinned_candidate_is_at_its_place_and_filters_shorten_lists(
    funnel: Funnel, queries: FunnelQueries
) -> None:
    lists = funnel_lists(funnel, queries, k=10, limit=10**7)
    place = funnel.retriever.catalogue.places_of([17])[0]
    for candidates, shown in zip(lists.candidates, lists.shown["ruled"], strict=True):
        assert (shown[1] == place) == (place in candidates)
    nothing = replace(funnel, rules=Rules(require="price < 0"))
    assert (funnel_lists(nothing, queries, k=10, limit=10**7).shown["ruled"] == -1).all()


def test_recommendations_follow_the_rules_of_the_funnel(funnel: Funnel) -> None:
    found = funnel.recommend(5, k=10)
    assert found["item_id"][1] == 17
    plain = replace(funnel, rules=Rules()).recommend(5, k=40)
    assert found["retrieval_rank"].null_count() == int(17 not in plain["item_id"].to_list())


def test_rules_that_do_not_fit_are_refused(blended: Runs) -> None:
    with pytest.raises(QueryError, match="no column 'town'"):
        Funnel.open(blended.retrieval, blended.ranking, rules=Rules(dedup_by="town"))


def test_the_report_says_what_rules_do_differently_for_requests(funnel: Funnel) -> None:
    assert rule_notes(Rules(max_per={"column": "city", "most": 1})) == []
    (note,) = rule_notes(RULES)
    assert "pin act on the retrieved candidates only" in note
    slots = {"where": "price < 90", "every": 3, "pacing": {"budget": 5}}
    paced = rule_notes(Rules(slots=slots, require="price > 10"))
    assert "require, slots act on" in paced[0]
    assert "budgets of slots are ignored" in paced[1]
    report = evaluate_funnel(replace(funnel, rules=Rules(slots=slots)), k=10)
    assert set(report.notes) >= set(rule_notes(Rules(slots=slots)))
