from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

from crosstower.errors import DataError, QueryError
from crosstower.funnel.online import catalogue
from crosstower.funnel.online.blends import Override
from crosstower.funnel.online.funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.retrieval.files import COUNT, ID, SEEN_ITEMS
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.live import Live

from ...fixtures.batches import batch_lists
from ...fixtures.funnels import Runs

LISTING = {"listing_id": 7, "city": "Paris", "price": 50.0, "amenities": ["wifi", "pool"]}


def funnel_of(live: Live) -> OnlineFunnel:
    return live.needs_funnel


def ids_of(live: Live, found: Ranked, k: int | None = None) -> list[Any]:
    return funnel_of(live).catalogue.items.ids(found.places[:k])


def agrees(bundle: Bundle, user: Any, where: str | None, query: dict[str, Any]) -> None:
    """Compare an answer with the batch evaluation's list, which encodes all rows anew."""
    live, k = Live.open(bundle), 15
    expected = batch_lists(bundle.funnel(), [(user, query)], where)[0].head(k)
    asked = FunnelRequest(user=user, k=k, where=where, query=query)
    for _ in range(2):  # the second time from what the first one has kept
        found = funnel_of(live).recommend(asked)
        assert ids_of(live, found, k) == expected["item_id"].to_list()
        np.testing.assert_allclose(found.score[:k], expected["score"], rtol=1e-5, atol=1e-6)
        for task, values in found.predictions.items():
            np.testing.assert_allclose(values[:k], expected[f"{task}__prediction"], rtol=1e-5)
        assert found.retrieval_rank is not None
        assert found.retrieval_rank[:k].tolist() == expected["retrieval_rank"].to_list()


@pytest.mark.parametrize("where", [None, "city == 'Paris' and price < 150"])
@pytest.mark.parametrize("user", [1, "5", 250])
def test_it_answers_as_the_funnel_does(bundle: Bundle, user: Any, where: str | None) -> None:
    agrees(bundle, user, where, {})
    agrees(bundle, user, where, {"home_city": "Rome", "budget": 80})


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_joined_tables_and_items_that_cannot_be_read(films_bundle: Bundle) -> None:
    for user in (3, 999):
        agrees(films_bundle, user, None, {"hour": 21, "device": "tv"})
    found = funnel_of(Live.open(films_bundle)).recommend(
        FunnelRequest(user=3, query={"hour": 21}, candidates=40)
    )
    assert (len(found.places), len(found.unread)) == (39, 1)  # a year is 'unknown'


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_columns_that_query_and_item_decide_together(places_bundle: Bundle) -> None:
    here = {"my_lat": 48.85, "my_lon": 2.35}
    for user in (1, 12345):
        agrees(places_bundle, user, None, here)
        agrees(places_bundle, user, "kind != 'bar'", {**here, "mood": "loud"})
    found = funnel_of(Live.open(places_bundle)).recommend(FunnelRequest(user=1, query=here))
    assert found.types is not None
    assert set(found.types.text()) == {"bar", "park", "shop"}


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_the_query_may_decide_the_type_and_the_amount(moods_bundle: Bundle) -> None:
    here = {"my_lat": 48.85, "my_lon": 2.35}
    for user in (1, 12345):
        for weather, bid in (("rain", 0.5), ("sun", 3), ("fog", 0)):
            agrees(moods_bundle, user, None, {**here, "weather": weather, "bid": bid})
    live = Live.open(moods_bundle)
    for bad in ({"weather": ["rain"], "bid": 1.0}, {"weather": "rain", "bid": -1.0}):
        with pytest.raises(QueryError, match=r"bid|expected single values"):
            funnel_of(live).recommend(FunnelRequest(user=1, query={**here, **bad}))
    rows = [{**here, "user": 1, "mood": "calm", "place": n, "kind": "bar", "lat": 48.8, "lon": 2.3,
             "weather": ["rain"] if n else "rain", "bid": 1.0} for n in (0, 1)]  # fmt: skip
    assert len(live.needs_rows.rank(FunnelRequest(), rows[:1]).places) == 1
    with pytest.raises(QueryError, match=r"rows: .*'weather' holds List"):
        live.needs_rows.rank(FunnelRequest(), rows[1:])


def test_given_items_are_ranked_as_whole_rows_are(bundle: Bundle, live: Live) -> None:
    ids = [3, 1_000, 77, 10**12]
    asked = FunnelRequest(user=5, query={"home_city": "Rome", "budget": 90, "wanted": "pool"})
    found = funnel_of(live).rank(asked, ids)
    assert found.unknown == (10**12,)
    listings = bundle.retriever().catalogue
    rows = listings.attributes[listings.places_of(pl.Series([3, 1_000, 77]))]
    whole = [{"user_id": 5, **dict(asked.query), **row} for row in rows.to_dicts()]
    given = live.needs_rows.rank(FunnelRequest(), whole)
    assert ids_of(live, found) == [[3, 1_000, 77][i] for i in given.places]
    np.testing.assert_allclose(found.score, given.score, rtol=1e-6)
    ranking = bundle.ranking
    assert ranking is not None
    offline = ranking.predict(pl.DataFrame(whole))
    np.testing.assert_allclose(given.score, offline["blend__score"].to_numpy()[given.places])


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_new_item_is_found_at_once_and_scored_as_any_other(bundle: Bundle, live: Live) -> None:
    catalogue = funnel_of(live).catalogue
    twin = catalogue.items.attributes(catalogue.items.places_of([7]))[0]
    new = {**twin, "listing_id": 10**6, "city": "Atlantis"}
    catalogue.put(catalogue.encode([new]))
    found = funnel_of(live).recommend(FunnelRequest(user=5, where="city == 'Atlantis'", k=1))
    assert ids_of(live, found) == [10**6]
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    mine = funnel_of(live).rank(FunnelRequest(user=5, query=query), [10**6])
    ranking = bundle.ranking
    assert ranking is not None
    offline = ranking.predict(pl.DataFrame([{"user_id": 5, **query, **new}]))
    np.testing.assert_allclose(mine.score, offline["blend__score"], rtol=1e-6)
    assert [a["city"] for a in catalogue.items.attributes(found.places)] == ["Atlantis"]


def test_a_changed_item_has_its_new_attributes_alone(live: Live) -> None:
    items = funnel_of(live).catalogue
    items.put(items.encode([LISTING]))
    twice = [{**LISTING, "city": "Oslo"}, {**LISTING, "city": "Bergen"}]
    items.put(items.encode(twice))  # the last one counts
    asked = FunnelRequest(user=5, k=3, candidates=2_000)
    everything = ids_of(live, funnel_of(live).recommend(asked))
    assert everything.count(7) == 1
    found = funnel_of(live).recommend(FunnelRequest(user=5, where="city == 'Bergen'", k=1))
    assert ids_of(live, found) == [7]
    assert (
        len(funnel_of(live).recommend(FunnelRequest(user=5, where="city == 'Oslo'", k=1)).places)
        == 0
    )


def test_a_deleted_item_is_gone_until_it_comes_back(live: Live) -> None:
    items, asked = funnel_of(live).catalogue, FunnelRequest(user=5, k=10)
    first = ids_of(live, funnel_of(live).recommend(asked), 10)
    items.delete([first[0], "nobody"])
    later = ids_of(live, funnel_of(live).recommend(asked))
    assert first[0] not in later
    assert len(later) == 50
    assert funnel_of(live).rank(asked, [first[0]]).unknown == (first[0],)
    with pytest.raises(QueryError, match="no item"):
        funnel_of(live).similar(first[0], k=3)
    items.put(items.encode([{**LISTING, "listing_id": first[0]}]))
    assert ids_of(live, funnel_of(live).rank(asked, [first[0]])) == [first[0]]


def test_nobody_known_gets_popular_items(bundle: Bundle, live: Live) -> None:
    table = bundle.retriever().items.sort(COUNT, descending=True, maintain_order=True)
    most = table[ID].to_list()
    for user in (None, 10**9):
        found = funnel_of(live).recommend(FunnelRequest(user=user, k=5))
        assert found.fallback == "popular"
        assert sorted(ids_of(live, found)) == sorted(most[:50])
    funnel_of(live).catalogue.delete(most[:2])
    items = funnel_of(live).catalogue
    items.put(items.encode([{**LISTING, "listing_id": most[2]}]))
    asked = FunnelRequest(k=5, exclude=(most[3],))
    found = ids_of(live, funnel_of(live).recommend(asked))
    assert sorted(found) == sorted([most[2], *most[4:53]])
    known = funnel_of(live).recommend(FunnelRequest(query={"home_city": "Rome"}, k=5))
    assert known.fallback is None
    few = funnel_of(live).recommend(FunnelRequest(k=5, where="city == 'Paris'"))
    assert len(few.places) == 50


def test_popular_items_go_on_where_few_of_the_first_fit(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = FunnelRequest(k=5, where="city == 'Paris'")
    whole = ids_of(live, funnel_of(live).recommend(asked))
    monkeypatch.setattr(catalogue, "_POPULAR", 40)
    assert ids_of(live, funnel_of(live).recommend(asked)) == whole


def test_excluded_items_and_items_that_the_user_had_are_left_out(
    bundle: Bundle, live: Live
) -> None:
    retriever = bundle.retriever()
    history = set(retriever.catalogue.ids.gather(retriever.known(1)[SEEN_ITEMS][0]).to_list())
    assert history
    found = set(ids_of(live, funnel_of(live).recommend(FunnelRequest(user=1, k=5))))
    assert not found & history
    out = tuple(list(found)[:10])
    assert not set(out) & set(
        ids_of(live, funnel_of(live).recommend(FunnelRequest(user=1, k=5, exclude=(*out, "x"))))
    )


def test_another_blend_orders_by_its_own_score(live: Live) -> None:
    override = Override({"click": 2.0, "booking": -1.0}, "identity", "")
    found = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=override))
    expected = 2 * found.predictions["click"] - found.predictions["booking"]
    np.testing.assert_allclose(found.score, expected, rtol=1e-6)
    override = Override({"click": 1.0}, "probit", "")
    found = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=override))
    np.testing.assert_allclose(found.score, ndtri(found.predictions["click"]), rtol=1e-5)
    own = funnel_of(live).recommend(FunnelRequest(user=5, k=10))
    same = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=Override()))
    assert own.places.tolist() == same.places.tolist()


def test_a_blend_by_type_is_fitted_on_the_rows_of_the_bundle(bundle: Bundle, live: Live) -> None:
    rows = bundle.held_out()
    assert rows is not None
    override = Override({"click": 1.0}, "percentile", "city")
    found = funnel_of(live).recommend(FunnelRequest(user=5, k=10, blend=override))
    assert found.types is not None
    for i in (0, 20, 49):
        mine = rows.filter(city=found.types.text()[i])["click__prediction"].to_numpy()
        x = found.predictions["click"][i]
        share = ((mine < x * (1 - 5e-6)).sum() + (mine <= x * (1 + 5e-6)).sum()) / 2 / len(mine)
        assert found.score[i] == pytest.approx(share)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (Override({"clicks": 1.0}), "no task 'clicks'; did you mean 'click'"),
        (Override({"click": 0.0}), "at least one weight must differ from 0"),
        (Override({"click": 1.0}, "root"), "no transform 'root'"),
        (Override({"click": 1.0}, by="country"), "blend.by: 'country' is no content type"),
    ],
)
def test_a_blend_that_cannot_be(live: Live, override: Override, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        funnel_of(live).recommend(FunnelRequest(user=5, blend=override))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (FunnelRequest(user=5, k=0), "k: expected at least 1"),
        (FunnelRequest(user=5, k=51), "k: expected 1 to 50, the number of candidates, got 51"),
        (FunnelRequest(user=5, where="colour == 'red'"), "no column 'colour'"),
        (FunnelRequest(user=5, query={"home_town": "Rome"}), "did you mean 'home_city'"),
        (FunnelRequest(user=5, query={"price": 3}), "is a column of the items"),
        (
            FunnelRequest(user=5, query={"budget": "much"}),
            "column 'budget': expected a finite number",
        ),
        (FunnelRequest(user=5, query={"budget": [1, {"a": 2}]}), "budget|cannot be read"),
    ],
)
def test_bad_questions(live: Live, asked: FunnelRequest, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        funnel_of(live).recommend(asked)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"city": "Oslo"}, r"items\[0\]: no 'listing_id'"),
        ({**LISTING, "town": "Oslo"}, "no column 'town'"),
        ({**LISTING, "price": "dear"}, r"items\[0\]: 'price' must be Float64, got 'dear'"),
        (
            {**LISTING, "listing_id": "seven"},
            r"'listing_id' must be an integer, .*'seven'",
        ),
        ({**LISTING, "price": float("inf")}, "price"),
    ],
)
def test_an_item_that_cannot_be_read_changes_nothing(live: Live, row: Any, words: str) -> None:
    catalogue = funnel_of(live).catalogue
    with pytest.raises((QueryError, DataError), match=words):
        catalogue.encode([row])
    assert catalogue.items.newer_count == 0


def test_a_bundle_that_only_retrieves(blended: Runs, tmp_path: Any) -> None:
    live = Live.open(make_bundle([blended.retrieval], tmp_path / "b"))
    found = funnel_of(live).recommend(FunnelRequest(user=1, k=7))
    expected = blended.retrieval
    assert len(found.places) == 7
    assert found.predictions == {}
    assert funnel_of(live).query_columns == ["home_city", "budget", "wanted"]
    assert expected.recipe.retrieval is not None
    for work in (lambda: live.needs_rows, lambda: funnel_of(live).rank(FunnelRequest(), [1])):
        with pytest.raises(QueryError, match="only retrieves"):
            work()


def test_a_bundle_that_only_ranks(blended: Runs, tmp_path: Any) -> None:
    live = Live.open(make_bundle([blended.ranking], tmp_path / "b"))
    row = {"user_id": 5, "home_city": "Rome", "budget": 9, "wanted": "pool", **LISTING}
    found = live.needs_rows.rank(FunnelRequest(query={"budget": 10}), [row, {**row, "price": 500}])
    assert sorted(found.places.tolist()) == [0, 1]
    with pytest.raises(QueryError, match="rows: no column 'budget', which the ranker reads"):
        live.needs_rows.rank(FunnelRequest(), [{k: v for k, v in row.items() if k != "budget"}])
    with pytest.raises(QueryError, match="column 'price': expected a finite number"):
        live.needs_rows.rank(FunnelRequest(), [{**row, "price": "dear"}])
    with pytest.raises(QueryError, match="this bundle only ranks"):
        funnel_of(live)


def test_rows_with_other_columns_are_refused_before_they_are_read(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: Any, **_more: Any) -> None:
        raise AssertionError("a frame was built")

    monkeypatch.setattr("crosstower.funnel.online.rows.pl.DataFrame", never)
    rows = [{f"key{n}": 1} for n in range(10_000)]
    with pytest.raises(QueryError, match=r"rows\[0\]: no column 'key0'; the ranker reads: .*city"):
        live.needs_rows.rank(FunnelRequest(), rows)
    with pytest.raises(QueryError, match=r"query: no column 'citi'; did you mean 'city'"):
        live.needs_rows.rank(FunnelRequest(query={"citi": 1}), [{"city": "Rome"}])
    with pytest.raises(QueryError, match=r"rows\[1\]: 'city' holds an object or a list of lists"):
        live.needs_rows.rank(FunnelRequest(), [{"city": "Rome"}, {"city": {"a": 1}}])
    with pytest.raises(QueryError, match="'amenities' holds an object or a list of lists"):
        live.needs_rows.rank(FunnelRequest(), [{"amenities": [[1]]}])


def test_candidates_are_never_more_than_the_items(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, sizes = funnel_of(live).catalogue.items, list[int]()
    nearest = items.nearest_of_each

    def noted(x: Any, k: int, **more: Any) -> Any:
        sizes.append(k)
        return nearest(x, k, **more)

    monkeypatch.setattr(items, "nearest_of_each", noted)
    asked = FunnelRequest(user=1, query={"home_city": "Rome"}, k=3, candidates=10**9)
    assert 1_000 < len(funnel_of(live).recommend(asked).places) <= sizes[0] <= len(items)
