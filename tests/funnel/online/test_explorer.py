"""Exploration in the funnel, on rentals with a blend and caps per city."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.exploration.thompson import Thompson
from crosstower.errors import QueryError
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

KIND = Epsilon(epsilon=0.5, top=8)
REQUEST = FunnelRequest(user=1, k=5, candidates=30)


def drawn(funnel: OnlineFunnel, kind=KIND, request: FunnelRequest = REQUEST) -> Ranked:
    return funnel.recommend(replace(request, explore=kind))


def test_without_exploration_nothing_is_drawn(live: Live) -> None:
    assert live.needs_funnel.recommend(REQUEST).draw is None


def test_the_pool_are_the_best_candidates_by_the_final_score(live: Live) -> None:
    best = live.needs_funnel.recommend(REQUEST)
    found = drawn(live.needs_funnel)
    by_score = best.places[np.argsort(-best.score, kind="stable")]
    assert found.draw is not None
    assert found.draw.pool.tolist() == by_score[:8].tolist()
    np.testing.assert_allclose(found.draw.drawn.pool.score, np.sort(best.score)[::-1][:8])
    assert sorted(found.places.tolist()) == sorted(best.places.tolist())


def test_scores_and_predictions_stay_with_their_items(live: Live) -> None:
    best = live.needs_funnel.recommend(REQUEST)
    found = drawn(live.needs_funnel)
    for name in ("score", "blend_score", "retrieval_rank", "ranked", "blended"):
        expected = dict(zip(best.places.tolist(), getattr(best, name).tolist(), strict=True))
        given = dict(zip(found.places.tolist(), getattr(found, name).tolist(), strict=True))
        assert given == expected, name


def test_drawn_ranks_are_those_before_diversity(live: Live) -> None:
    moved = 0
    for user in range(1, 30):
        found = drawn(live.needs_funnel, request=replace(REQUEST, user=user))
        assert found.draw is not None
        order = found.draw.drawn.order[:8]
        by_rank = dict(zip(found.draw.ranks.tolist(), found.places.tolist(), strict=True))
        assert [by_rank[rank] for rank in range(1, 9)] == found.draw.pool[order].tolist()
        cities = live.needs_funnel.catalogue.items.attributes(found.places[:5])
        assert max(Counter(row["city"] for row in cities).values()) <= 2  # the blend's cap
        moved += found.draw.ranks.tolist() != sorted(found.draw.ranks.tolist())
    assert moved > 0


def test_seeded_draws_are_equal_and_others_are_not(live: Live) -> None:
    seeded = KIND.model_copy(update={"seed": 3})
    orders = [tuple(drawn(live.needs_funnel, seeded).places) for _ in range(3)]
    assert len(set(orders)) == 1
    assert len({tuple(drawn(live.needs_funnel).places) for _ in range(20)}) > 1
    alone = live.needs_funnel.recommend_each([replace(REQUEST, explore=seeded), REQUEST])[0]
    assert isinstance(alone, Ranked)
    assert tuple(alone.places) == orders[0]


def test_thompson_explores_new_items_most_and_changed_ones_as_before(live: Live) -> None:
    catalogue = live.needs_funnel.catalogue
    place = catalogue.popular.best(1, where=None, excluded=np.empty(0, np.int64))[0]
    popular = catalogue.items.ids(place)[0]
    rows = catalogue.popular.training_rows(place)
    assert rows[0] > 0
    new = {"listing_id": 10**6, "city": "Oslo", "price": 50.0, "amenities": ["wifi"]}
    catalogue.put(catalogue.encode([new, {**new, "listing_id": popular}]))
    places = catalogue.items.places_of([10**6, popular])
    assert places[1] != place[0]
    assert catalogue.popular.training_rows(places).tolist() == [0, rows[0]]
    found = drawn(live.needs_funnel, Thompson(prior_sd=0.1, noise_sd=1.0))
    assert found.draw is not None
    expected = catalogue.popular.training_rows(found.draw.pool)
    assert found.draw.drawn.pool.rows.tolist() == expected.tolist()


def test_candidates_of_a_retriever_alone_are_drawn_by_their_retrieval_score(
    bundle: Bundle,
) -> None:
    funnel = OnlineFunnel(bundle.retriever(), candidates=50)
    best = funnel.recommend(FunnelRequest(user=1, k=6))
    found = drawn(funnel, PlackettLuce(temperature=10.0), FunnelRequest(user=1, k=6))
    assert found.draw is not None
    assert found.draw.pool.tolist() == best.places.tolist()
    assert found.places.tolist() == best.places[found.draw.drawn.order].tolist()
    assert found.draw.ranks.tolist() == list(range(1, 7))


def test_whole_rows_are_not_drawn(live: Live) -> None:
    with pytest.raises(QueryError, match="explore: rows cannot be drawn"):
        live.needs_rows.rank(replace(REQUEST, explore=KIND), [{}])
