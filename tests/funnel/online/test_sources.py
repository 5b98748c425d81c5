"""Candidates of several sources in the path of requests, while items and histories change."""

from typing import Any

import numpy as np
import pytest

from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.recipe.rules import Rules
from crosstower.retrieval.online.users import LiveUser
from crosstower.serving.bundle.live import Live

from ...fixtures.sourced_films import TOTAL, SourcedFilms


@pytest.fixture
def funnel(sourced_films: SourcedFilms) -> OnlineFunnel:
    return Live.open(sourced_films.bundle).needs_funnel


@pytest.fixture
def retriever_alone(sourced_films: SourcedFilms) -> OnlineFunnel:
    return Live.open(sourced_films.only).needs_funnel


def by_source(funnel: OnlineFunnel, found: Ranked) -> dict[str, dict[Any, int]]:
    """The rank of each item in each source."""
    ids, sources = funnel.catalogue.items.ids(found.places), found.sources
    assert sources is not None
    ranks: dict[str, dict[Any, int]] = {name: {} for name in sources.names}
    for row, item in enumerate(ids):
        for name, (rank, _) in sources.of(row).items():
            ranks[name][item] = rank
    return {name: dict(sorted(of.items(), key=lambda pair: pair[1])) for name, of in ranks.items()}


def test_quotas_are_kept_and_duplicates_merged(funnel: OnlineFunnel) -> None:
    found = funnel.recommend(FunnelRequest(3))
    ranks = by_source(funnel, found)
    assert {name: len(of) for name, of in ranks.items()} == {
        "two_tower": 5, "item_knn": 4, "transition_graph": 3, "ease": 3, "popular": 2,
        "trending": 2, "new": 2, "seen": 2, "editors": 2,
    }  # fmt: skip
    assert all(list(of.values()) == list(range(1, len(of) + 1)) for of in ranks.values())
    assert len(set(found.places)) == len(found.places) < TOTAL
    assert list(ranks["editors"]) == ["f29", "f07"]
    assert found.retrieved == len(found.places)


def test_conditions_and_exclusions_hold_for_every_source(funnel: OnlineFunnel) -> None:
    request = FunnelRequest(3, where="genre == 1", exclude=("f07", "f28"))
    found = funnel.recommend(request)
    ids = funnel.catalogue.items.ids(found.places)
    genres = funnel.catalogue.items.column(found.places, "genre")
    assert ids
    assert set(genres) == {1}
    assert not set(ids) & {"f07", "f28"}
    assert by_source(funnel, found)["editors"] == {}


def test_the_segment_chooses_popular_items(funnel: OnlineFunnel) -> None:
    lists = [
        list(by_source(funnel, funnel.recommend(FunnelRequest(3, {"country": c})))["popular"])
        for c in ("FR", "DE")
    ]
    assert lists[0] != lists[1]


def test_live_histories_feed_the_neighbour_sources(funnel: OnlineFunnel) -> None:
    before = by_source(funnel, funnel.recommend(FunnelRequest("new user")))
    assert before["item_knn"] == before["seen"] == {}
    funnel.users.live = lambda user: LiveUser({}, ("f01", "f04", "f01"))
    after = by_source(funnel, funnel.recommend(FunnelRequest("new user")))
    assert list(after["seen"]) == ["f01", "f04"]
    for name in ("item_knn", "ease", "transition_graph"):
        assert after[name]
    known = by_source(funnel, funnel.recommend(FunnelRequest(3)))
    funnel.users.live = lambda user: LiveUser({}, ("f02", "f05"))
    later = by_source(funnel, funnel.recommend(FunnelRequest(3)))
    assert list(later["transition_graph"]) != list(known["transition_graph"])


def test_new_and_deleted_items(funnel: OnlineFunnel) -> None:
    catalogue = funnel.catalogue
    catalogue.put(catalogue.encode([{"film": "f99", "genre": 1, "released": "2030-01-01"}]))
    catalogue.put(catalogue.encode([{"film": "f07", "genre": 2, "released": "1990-01-01"}]))
    catalogue.delete(["f29"])
    ranks = by_source(funnel, funnel.recommend(FunnelRequest(3)))
    assert next(iter(ranks["new"])) == "f99"
    assert ranks["editors"] == {"f07": 1}  # in its new place
    assert not any("f29" in of for of in ranks.values())
    seen = funnel.recommend(FunnelRequest(None, history=("f99", "f99", "f02")))
    assert list(by_source(funnel, seen)["seen"]) == ["f99", "f02"]


def test_popular_items_stand_in_if_no_source_finds_one(sourced_films: SourcedFilms) -> None:
    funnel = Live.open(sourced_films.only).needs_funnel
    sources = funnel.catalogue.sources
    assert sources is not None
    for name in ("popular", "trending", "new", "editors"):
        del sources._sources[name]
    sources.names = tuple(sources._sources)
    found = funnel.recommend(FunnelRequest(None, k=3))
    assert (found.fallback, found.sources, len(found.places)) == ("popular", None, 3)


def test_more_candidates_than_quotas_make_all_quotas_grow(funnel: OnlineFunnel) -> None:
    many = by_source(funnel, funnel.recommend(FunnelRequest(3, candidates=2 * TOTAL)))
    assert len(many["two_tower"]) == 10
    assert len(many["popular"]) == 4
    assert len(funnel.recommend(FunnelRequest(3, k=5, candidates=9)).places) == 9


def test_the_first_items_without_a_ranker_are_those_of_the_merge(
    retriever_alone: OnlineFunnel,
) -> None:
    long, short = (retriever_alone.recommend(FunnelRequest(3, k=k)) for k in (20, 5))
    assert short.places.tolist() == long.places[:5].tolist()
    assert long.retrieval_score is not None
    assert (np.diff(long.retrieval_score) <= 0).all()


@pytest.mark.parametrize("user", [3, None])
def test_slots_and_pins_add_candidates_of_no_source(
    retriever_alone: OnlineFunnel, user: int | None
) -> None:
    rules = Rules.model_validate(
        {
            "slots": [{"every": 2, "where": "genre == 0"}],
            "pin": [{"item": "f19", "at": 1}],
        }
    )
    found = retriever_alone.recommend(FunnelRequest(user, k=4, rules=rules))
    ids = retriever_alone.catalogue.items.ids(found.places)
    assert ids[0] == "f19"
    assert retriever_alone.catalogue.items.column(found.places[1:2], "genre").to_list() == [0]
    assert found.sources is not None
    assert len(found.sources.ranks) == len(found.places)


def test_a_batch_of_requests_gets_the_lists_of_single_ones(funnel: OnlineFunnel) -> None:
    requests = [
        FunnelRequest(3),
        FunnelRequest(8, where="genre == 2"),
        FunnelRequest(None, {"device": "tv"}),
        FunnelRequest(8, where="colour == 3"),
        FunnelRequest(3, candidates=9, k=9),
    ]
    together = funnel.recommend_each(requests)
    for request, found in zip(requests, together, strict=True):
        (alone,) = funnel.recommend_each([request])
        assert isinstance(found, Ranked) == isinstance(alone, Ranked)
        if isinstance(found, Ranked) and isinstance(alone, Ranked):
            np.testing.assert_array_equal(found.places, alone.places)
            np.testing.assert_array_equal(found.score, alone.score)
    assert [isinstance(one, Ranked) for one in together] == [True, True, True, False, True]
