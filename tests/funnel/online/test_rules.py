"""Rules of requests in the funnel: what is retrieved, the order, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.rules.pacing import Ledger
from crosstower.errors import QueryError
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.recipe.rules import RequestRules, Rules
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

LISTING = {"listing_id": 10**6, "city": "Atlantis", "price": 50.0, "amenities": ["wifi"]}


def funnel_of(live: Live) -> OnlineFunnel:
    return live.needs_funnel


def recommended(live: Live, rules: dict[str, Any], k: int = 10, **more: Any) -> Ranked:
    request = FunnelRequest(**{"user": 5, "k": k, "rules": RequestRules(**rules)} | more)
    return funnel_of(live).recommend(request)


def ids_of(live: Live, found: Ranked, k: int | None = None) -> list[Any]:
    return funnel_of(live).catalogue.items.ids(found.places[:k])


def attributes_of(live: Live, found: Ranked, k: int | None = None) -> list[dict[str, Any]]:
    return funnel_of(live).catalogue.items.attributes(found.places[:k])


@pytest.fixture(scope="module")
def still(bundle: Bundle) -> Live:
    """The rentals, not to be changed."""
    return Live.open(bundle)


def test_filters_apply_to_retrieval_so_that_candidates_stay_many(still: Live) -> None:
    found = recommended(still, {"require": "city == 'Paris'", "exclude": "price > 120"})
    where = "city == 'Paris' and price <= 120"
    same = funnel_of(still).recommend(FunnelRequest(user=5, where=where))
    assert len(found.places) == 50
    np.testing.assert_array_equal(found.places, same.places)
    both = recommended(still, {"require": "city == 'Paris'"}, where="price <= 120")
    np.testing.assert_array_equal(both.places, same.places)


def test_a_pinned_item_is_retrieved_and_ranked_like_the_others(still: Live) -> None:
    plain = funnel_of(still).recommend(FunnelRequest(user=5, candidates=1500))
    last = ids_of(still, plain)[-1]
    found = recommended(still, {"pin": {"item": str(last), "at": 3}})
    assert ids_of(still, found)[2] == last
    np.testing.assert_allclose(found.score[2], plain.score[-1], rtol=1e-5)
    assert found.retrieval_rank[2] == 0
    place = plain.places.tolist().index(found.places[2])
    assert found.retrieval_score[2] == pytest.approx(plain.retrieval_score[place], rel=1e-5)
    others = [i for i in ids_of(still, found, 10) if i != last]
    assert others == ids_of(still, funnel_of(still).recommend(FunnelRequest(user=5)), 9)


def test_a_pin_obeys_filters_and_says_so(still: Live) -> None:
    item = recommended(still, {})
    first = ids_of(still, item)[0]
    for more in ({"exclude": (first,)}, {"where": f"item_id != {first}"}):
        found = recommended(still, {"pin": {"item": first, "at": 1}}, **more)
        assert first not in ids_of(still, found)
        assert "is not in the list" in found.notices[0]


@pytest.mark.parametrize("user", [5, "nobody"])
def test_slots_retrieve_their_own_candidates(still: Live, user: Any) -> None:
    where = "city == 'Lisbon' and price < 60"
    rules = {"slots": {"where": where, "every": 4, "elsewhere": False}}
    found = recommended(still, rules, k=20, user=user)
    rows = attributes_of(still, found, 20)
    for place, row in enumerate(rows, 1):
        assert (row["city"] == "Lisbon" and row["price"] < 60) == (place % 4 == 0)


def test_mmr_and_dpp_spread_the_vectors_of_new_items_as_well(live: Live) -> None:
    items = funnel_of(live).catalogue
    items.put(items.encode([LISTING]))

    def likeness(rules: dict[str, Any]) -> float:
        found = recommended(live, rules | {"pin": {"item": 10**6, "at": 1}})
        unit = items.items.vectors(found.places[:10])
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        return float((unit @ unit.T).mean())

    plain = likeness({})
    assert likeness({"mmr": {"relevance": 0.02}}) < plain
    assert likeness({"dpp": {"relevance": 0.2}}) < plain
    same = recommended(live, {"max_per": {"column": "city", "most": 1, "within": 3}})
    cities = [row["city"] for row in attributes_of(live, same, 10)]
    assert all(len(set(cities[i : i + 3])) == 3 for i in range(8))


def test_an_explanation_has_the_rules_in_effect_and_the_moves(still: Live) -> None:
    rules = {"boost": {"where": "city == 'Rome'", "multiply": 3}, "exclude": "price > 400"}
    found = recommended(still, rules, explain=True)
    assert found.explanation is not None
    assert found.explanation.rules.boost[0].multiply == 3
    romes = np.array([row["city"] == "Rome" for row in attributes_of(still, found)])
    moves = found.explanation.moves["boost[0]"]
    assert (moves[romes] >= 0).all()
    assert (moves[~romes] <= 0).all()
    assert moves[romes].max() > 0
    assert set(found.seconds) >= {"rules", "total"}
    plain = recommended(still, rules)
    assert plain.explanation is None
    np.testing.assert_array_equal(plain.places, found.places)


def test_given_items_are_ruled_too(still: Live) -> None:
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    rules = RequestRules(pin={"item": 30, "at": 1}, require="price < 100")
    request = FunnelRequest(user=5, query=query, k=40, rules=rules)
    found = funnel_of(still).rank(request, list(range(20, 60)))
    prices = [row["price"] for row in attributes_of(still, found)]
    assert prices
    assert max(prices) < 100
    assert (ids_of(still, found)[0] == 30) == (not found.notices)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"require": "prise < 3"}, r"rules\.require\[0\].*did you mean 'price'"),
        ({"dedup_by": "amenities"}, "holds List.*expected single values"),
        ({"freshness": {"column": "when", "half_life": "1d"}}, "no column 'when'"),
    ],
)
def test_wrong_rules_of_a_request_are_refused(still: Live, rules: Any, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        recommended(still, rules)


def test_one_request_with_impossible_conditions_does_not_stop_the_others(still: Live) -> None:
    long = " or ".join(f"price<{i}" for i in range(150))
    wrong = RequestRules(require=[f"({long})", f"({long})"])
    requests = [FunnelRequest(user=5, rules=wrong), FunnelRequest(user=5)]
    first, second = funnel_of(still).recommend_each(requests)
    assert isinstance(first, QueryError)
    assert isinstance(second, Ranked)


ANY_RULES = st.fixed_dictionaries(
    {},
    optional={
        "require": st.sampled_from(["price < 80", "price < 0"]),
        "boost": st.just({"where": "city == 'Rome'", "add": 0.2}),
        "dedup_by": st.just("price"),
        "mmr": st.just({"relevance": 0.5}),
        "spacing": st.just({"column": "city"}),
        "max_per": st.just({"column": "city", "most": 1, "within": 2}),
        "slots": st.just({"where": "price < 50", "every": 3}),
        "pin": st.lists(
            st.builds(lambda i, p: {"item": i, "at": p}, st.integers(0, 2000), st.integers(1, 60)),
            max_size=3,
        ),
    },
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(many=st.lists(ANY_RULES, min_size=2, max_size=4))
def test_a_batch_gives_each_request_the_list_that_it_gets_alone(still: Live, many: Any) -> None:
    requests = [
        FunnelRequest(user=number, k=12, rules=RequestRules(**rules), explain=number % 2 == 0)
        for number, rules in enumerate(many)
    ]
    for request, found in zip(requests, funnel_of(still).recommend_each(requests), strict=True):
        alone = funnel_of(still).recommend(request)
        assert isinstance(found, Ranked)
        np.testing.assert_array_equal(found.places, alone.places)
        np.testing.assert_array_equal(found.score, alone.score)
        assert found.notices == alone.notices


def test_rules_of_a_bundle_apply_to_all_and_requests_add_or_replace(bundle: Bundle) -> None:
    live = Live.open(bundle)
    parts = funnel_of(live)
    own = Rules(require="city == 'Rome'")
    ruled = OnlineFunnel(parts.retriever, parts.ranker, candidates=50, rules=own)
    cities = [
        {row["city"] for row in ruled.catalogue.items.attributes(ruled.recommend(r).places)}
        for r in (
            FunnelRequest(user=5),
            FunnelRequest(user=5, rules=RequestRules(require="price < 90")),
            FunnelRequest(user=5, rules=RequestRules(replace=True, require="price < 90")),
        )
    ]
    assert cities[:2] == [{"Rome"}, {"Rome"}]
    assert len(cities[2]) > 1


def test_budgets_are_charged_by_lists_that_are_shown(bundle: Bundle) -> None:
    live, ledger = Live.open(bundle), Ledger()
    parts = funnel_of(live)
    pacing = {"budget": 1e9, "campaign": "city", "cost": "price", "period": "1s"}
    own = Rules(slots={"where": "price < 60", "every": 2, "elsewhere": False, "pacing": pacing})
    ruled = OnlineFunnel(parts.retriever, parts.ranker, candidates=50, rules=own, ledger=ledger)
    for _ in range(5):
        ruled.recommend(FunnelRequest(user=5, explain=True))
    assert ledger.unsaved() == []
    for _ in range(200):
        if ledger.unsaved():
            break
        ruled.recommend(FunnelRequest(user=5))
    assert all(cost > 0 and key.startswith("price < 60\t") for key, _, cost in ledger.unsaved())
    assert ledger.unsaved()


def test_rules_act_on_the_order_that_exploration_has_drawn(still: Live) -> None:
    request = FunnelRequest(user=5, k=10, explore=PlackettLuce(temperature=5, top=10, seed=3))
    plain = funnel_of(still).recommend(request)
    drawn = ids_of(still, plain, 10)
    rules = RequestRules(pin={"item": drawn[7], "at": 1})
    found = funnel_of(still).recommend(replace(request, rules=rules))
    assert ids_of(still, found, 10) == [drawn[7], *drawn[:7], *drawn[8:]]
    assert plain.draw is not None
    assert found.draw is not None
    np.testing.assert_array_equal(found.draw.ranks[:3], plain.draw.ranks[[7, 0, 1]])


def test_an_explanation_counts_the_items_that_filters_of_retrieval_leave_out(still: Live) -> None:
    prices = funnel_of(still).catalogue.items.catalogue.column("price")
    rules = {"require": "price < 200", "exclude": ["price > 400", "price < 0"]}
    found = recommended(still, rules, explain=True)
    assert found.explanation is not None
    assert found.explanation.removed == {
        "require[0]": int((~(prices < 200)).sum()),
        "exclude[0]": int((prices > 400).sum()),
    }
    request = FunnelRequest(user=5, k=2, rules=RequestRules(exclude="price > 0"), explain=True)
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    given = funnel_of(still).rank(replace(request, query=query), [30, 31, 32])
    assert given.explanation is not None
    assert given.explanation.removed == {"exclude[0]": 3}
