"""Asking a funnel: candidates of the retriever, in the ranker's order."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, QueryError, RunError
from crosstower.funnel.funnel import Funnel, default_candidates
from crosstower.recipe.blend import Blend
from crosstower.recipe.own_columns import ROW
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import SEEN_ITEMS, USER
from crosstower.training.run import Run

from ..fixtures.batches import Ask, batch_lists
from ..fixtures.funnels import Runs, films, watches
from ..fixtures.sourced_films import TOTAL, SourcedFilms

OWN = ["rank", "item_id", "score", "retrieval_score", "retrieval_rank"]


@pytest.fixture
def funnel(rentals: Runs) -> Funnel:
    return Funnel.open(rentals.retrieval, rentals.ranking, candidates=50)


@pytest.fixture
def film_funnel(cinema: Runs) -> Funnel:
    return Funnel.open(cinema.retrieval, cinema.ranking, candidates=40)


def user_row(run: Run, user: int) -> dict[str, Any]:
    users = pl.read_parquet(run.folder / "retrieval" / "users.parquet")
    return users.filter(pl.col(USER) == user).row(0, named=True)


def test_scores_are_those_of_the_ranking_run_on_the_same_rows(funnel: Funnel) -> None:
    found = funnel.recommend(7, k=50)
    known = user_row(funnel.retriever.run, 7)
    rows = found.select(
        pl.lit(7).alias("user_id"),
        *(pl.lit(known[name]).alias(name) for name in ("home_city", "budget", "wanted")),
        pl.col("item_id").alias("listing_id"),
        *("city", "price", "amenities"),
    )
    expected = funnel.ranking.predict(rows)
    assert_frame_equal(found.select(expected.columns), expected, rel_tol=0, abs_tol=1e-6)


def test_scores_are_those_of_the_ranking_run_where_it_joins_tables(film_funnel: Funnel) -> None:
    found = film_funnel.recommend(3, k=39, query={"hour": 20, "device": "tv"})
    rows = found.select(
        pl.lit(3).alias("user"),
        pl.lit("tv").alias("device"),
        pl.lit(20).alias("hour"),
        pl.col("item_id").alias("film"),
    )
    expected = film_funnel.ranking.predict(rows)
    assert_frame_equal(found.select(expected.columns), expected, rel_tol=0, abs_tol=1e-6)


def test_candidates_are_the_retrievers_and_the_order_is_the_rankers(funnel: Funnel) -> None:
    found = funnel.recommend(7, k=50)
    assert found.columns == [
        *OWN, "click__prediction", "booking__prediction", "city", "price", "amenities",
    ]  # fmt: skip
    assert found["rank"].to_list() == list(range(1, 51))
    assert found["score"].equals(found["click__prediction"].alias("score"))
    assert found["score"].is_sorted(descending=True)
    retrieved = funnel.retriever.recommend(7, k=50)
    back = found.sort("retrieval_rank")
    assert back["retrieval_rank"].to_list() == retrieved["rank"].to_list()
    assert back["item_id"].equals(retrieved["item_id"])
    assert np.allclose(back["retrieval_score"], retrieved["score"])
    assert funnel.recommend(7, k=5).equals(found.head(5))


def test_a_blend_orders_and_its_diversity_reorders_the_first_places(blended: Runs) -> None:
    funnel = Funnel.open(blended.retrieval, blended.ranking, candidates=50)
    found = funnel.recommend(7, k=50)
    assert "blend__score" in found.columns
    expected = found["click__prediction"] + 20 * found["booking__prediction"]
    assert np.allclose(found["blend__score"], expected)
    assert found["score"].equals(found["blend__score"].alias("score"))
    assert found["city"].head(5).value_counts()["count"].max() <= 2
    assert found["score"].tail(45).is_sorted(descending=True)
    plain = found.sort("score", descending=True)
    assert plain["city"].head(5).value_counts()["count"].max() > 2  # or this shows nothing


def test_what_the_user_has_had_is_left_out(rentals: Runs) -> None:
    funnel = Funnel.open(rentals.retrieval, rentals.ranking, candidates=5_000)
    history = set(user_row(rentals.retrieval, 7)[SEEN_ITEMS])
    places = set(range(len(funnel.retriever.catalogue)))
    found = funnel.recommend(7, k=funnel.candidates)
    assert history
    assert set(funnel.retriever.catalogue.places_of(found["item_id"])) == places - history


def test_a_condition_chooses_the_candidates(funnel: Funnel) -> None:
    found = funnel.recommend(7, k=20, where="city == 'Rome' and price < 120")
    assert found.height == 20
    assert set(found["city"]) == {"Rome"}
    assert found["price"].max() < 120
    nothing = funnel.recommend(7, where="price < 0")
    assert nothing.height == 0
    assert nothing.columns == found.columns


def test_a_condition_that_nothing_fulfils_with_a_blend(blended: Runs) -> None:
    funnel = Funnel.open(blended.retrieval, blended.ranking, candidates=50)
    assert funnel.recommend(7, where="price < 0").columns == funnel.recommend(7).columns


def test_a_query_takes_the_place_of_the_users_last_row(funnel: Funnel) -> None:
    usual, rich = funnel.recommend(7), funnel.recommend(7, query={"budget": 400.0})
    assert not usual["item_id"].equals(rich["item_id"])
    known = user_row(funnel.retriever.run, 7)
    same = {name: known[name] for name in ("home_city", "budget", "wanted")}
    assert funnel.recommend(7, query=same).equals(usual)


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_an_unknown_user_has_no_history(funnel: Funnel) -> None:
    query = {"home_city": "Rome", "budget": 90, "wanted": "wifi"}
    unknown = funnel.recommend(10**6, query=query)
    assert unknown.equals(funnel.recommend("nobody", query=query))
    nobody = funnel.recommend(None, query=query)
    assert set(nobody["item_id"]) <= set(funnel.retriever.recommend(k=50, query=query)["item_id"])
    assert funnel.recommend("7").equals(funnel.recommend(7))


def test_missing_query_columns_are_missing_values(funnel: Funnel) -> None:
    found = funnel.recommend(None, k=50)
    names = ["user_id", "home_city", "budget", "wanted"]
    rows = found.select(
        *(pl.lit(None).alias(name) for name in names),
        pl.col("item_id").alias("listing_id"),
        *("city", "price", "amenities"),
    )
    expected = funnel.ranking.predict(rows)
    assert_frame_equal(found.select(expected.columns), expected, rel_tol=0, abs_tol=1e-6)


def test_an_item_with_a_bad_cell_is_left_out_where_the_recipe_skips_bad_rows(
    film_funnel: Funnel,
) -> None:
    found = film_funnel.recommend(3, k=40, query={"hour": 1})
    retrieved = film_funnel.retriever.recommend(3, k=40)
    assert set(retrieved["item_id"]) - set(found["item_id"]) == {"f39"}  # its year is unknown
    ranks = dict(zip(retrieved["item_id"], retrieved["rank"], strict=True))
    assert [ranks[film] for film in found["item_id"]] == found["retrieval_rank"].to_list()


def test_a_query_whose_value_no_candidate_survives_is_refused(film_funnel: Funnel) -> None:
    """The retriever does not read the hour; the ranker skips every row that has this one."""
    words = "query: column 'hour': expected a finite number, got 'late'"
    with pytest.raises(QueryError, match=words):
        film_funnel.recommend(3, query={"hour": "late"})


def test_items_of_which_none_can_be_read_are_refused(film_funnel: Funnel) -> None:
    words = "column 'year': expected a finite number, got 'unknown'; fix these values of the items"
    with pytest.raises(QueryError, match=words):
        film_funnel.recommend(3, query={"hour": 1}, where="year == 'unknown'")
    with pytest.raises(QueryError, match=r"query: column 'hour'"):
        film_funnel.recommend(3, query={"hour": "late"}, where="year == 'unknown'")
    assert film_funnel.recommend(3, query={"hour": 1}, where="year == 'never'").height == 0


def test_rows_left_out_are_counted_by_column(film_funnel: Funnel) -> None:
    queries = pl.DataFrame({"user": [3, 4], "device": ["tv", "tv"], "hour": ["1", "late"]})
    items = film_funnel.retriever.catalogue.places_of(pl.Series(["f00", "f39", "f00"]))
    skipped = Counter({"year": 5})
    scored = film_funnel.score(queries, np.array([0, 0, 1]), items, skipped=skipped)
    assert scored[ROW].to_list() == [0]
    assert skipped == {"year": 6, "hour": 1}


def test_an_item_with_a_bad_cell_is_an_error_elsewhere(cinema: Runs) -> None:
    recipe = cinema.ranking.recipe
    strict = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"on_bad_rows": "error"})}
    )
    funnel = Funnel.open(cinema.retrieval, Run(cinema.ranking.folder, strict, cinema.ranking.info))
    with pytest.raises(DataError, match="column 'year': expected a finite number, got 'unknown'"):
        funnel.recommend(3, query={"hour": 1})


def test_a_column_that_neither_side_has_is_named(film_funnel: Funnel) -> None:
    with pytest.raises(QueryError, match=r"column 'hour'.*neither.*data\.joins.*retrieval\.items"):
        film_funnel.recommend(3)
    with pytest.raises(QueryError, match=r"column 'hour'.*give it with the query, as in \{.hour"):
        film_funnel.recommend(3, query={"device": "tv"})


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"budgett": 3}, "no column 'budgett'; did you mean 'budget'"),
        ({"price": 3}, "'price' is a column of the items"),
        ({"user_id": 3}, "'user_id' is the user's id; give it as the user"),
        ({"budget": "much"}, "column 'budget': expected a finite number, got 'much'"),
    ],
)
def test_a_query_that_cannot_be(funnel: Funnel, query: dict[str, Any], words: str) -> None:
    with pytest.raises(QueryError, match=words):
        funnel.recommend(7, query=query)


@pytest.mark.parametrize("k", [0, 51])
def test_k_lies_within_the_candidates(funnel: Funnel, k: int) -> None:
    with pytest.raises(QueryError, match=f"k: expected (1 to 50, .*|at least 1), got {k}"):
        funnel.recommend(7, k=k)


def test_k_beyond_the_candidates_says_how_to_get_more(cinema: Runs) -> None:
    few, every = (Funnel.open(cinema.retrieval, cinema.ranking, candidates=n) for n in (20, 90))
    with pytest.raises(QueryError, match=r"got 30; raise --candidates \(candidates= in Python\)"):
        few.recommend(3, k=30, query={"hour": 1})
    with pytest.raises(QueryError, match="got 41; there are no more items; ask for fewer"):
        every.recommend(3, k=41, query={"hour": 1})
    with pytest.raises(QueryError, match="k: expected at least 1, got -1"):
        few.recommend(3, k=-1, query={"hour": 1})


def test_a_wrong_condition_is_refused_as_the_retriever_does(funnel: Funnel) -> None:
    with pytest.raises(QueryError, match="did you mean 'price'"):
        funnel.recommend(7, where="prise < 3")


def test_more_candidates_than_items_are_all_items(cinema: Runs) -> None:
    assert Funnel.open(cinema.retrieval, cinema.ranking).candidates == films().height
    with pytest.raises(QueryError, match="candidates: expected at least 1, got 0"):
        Funnel.open(cinema.retrieval, cinema.ranking, candidates=0)


def test_the_default_number_of_candidates_is_200_or_that_of_the_sources(
    cinema: Runs, sourced_films: SourcedFilms
) -> None:
    assert default_candidates(None) == default_candidates(cinema.retrieval) == 200
    assert default_candidates(sourced_films.retrieval) == TOTAL


def test_runs_of_the_wrong_kind_are_refused(rentals: Runs) -> None:
    with pytest.raises(RunError, match="ranks, where one that retrieves is expected; the order"):
        Funnel.open(rentals.ranking.folder, rentals.retrieval.folder)
    with pytest.raises(RunError, match="retrieves, where one that ranks is expected; the order"):
        Funnel.open(rentals.retrieval, rentals.retrieval)
    with pytest.raises(RunError, match="no run in this folder"):
        Funnel.open("nowhere", rentals.ranking)
    with pytest.raises(RunError, match="no seed 9"):
        Funnel.open(rentals.retrieval, rentals.ranking, seed=9)


def test_an_index_that_was_built_gives_the_candidates(rentals: Runs, tmp_path: Any) -> None:
    """An index may keep its items in another order than the run."""
    from crosstower.retrieval.index.exact import ExactIndex

    funnel = Funnel.open(rentals.retrieval, rentals.ranking, candidates=30)
    retriever = Retriever.open(rentals.retrieval)
    ids, vectors = retriever.catalogue.ids, retriever.vectors
    ExactIndex.build(ids.reverse(), vectors[::-1]).save(tmp_path / "index")
    other = replace(retriever, index_folder=tmp_path / "index")
    mixed = Funnel(other, funnel.ranking, funnel.scorer, 30)
    assert mixed.recommend(7, k=30).equals(funnel.recommend(7, k=30))


def test_a_blend_without_diversity_orders_by_its_score(blended: Runs) -> None:
    funnel = Funnel.open(blended.retrieval, blended.ranking, candidates=30)
    blend = funnel.scorer.blend
    assert blend is not None
    plain = blend.model_copy(update={"spec": Blend(weights={"booking": 1.0})})
    scorer = type(funnel.scorer)(funnel.scorer.encoder, funnel.scorer.model, None, plain)
    found = Funnel(funnel.retriever, funnel.ranking, scorer, 30).recommend(7, k=30)
    assert found["booking__prediction"].is_sorted(descending=True)


def test_users_of_the_world_are_the_ones_evaluated(cinema: Runs) -> None:
    """A user whom only the ranker knows is not a stranger to it."""
    funnel = Funnel.open(cinema.retrieval, cinema.ranking, candidates=40)
    known = set(watches()["user"])
    one, other = (funnel.recommend(user, query={"hour": 3, "device": "tv"}) for user in (0, 1))
    assert {0, 1} <= known
    assert not one["score"].equals(other["score"])


@pytest.mark.parametrize("where", [None, "price < 150"])
def test_each_query_gets_the_list_of_the_batch_evaluation(
    film_funnel: Funnel, blended: Runs, where: str | None
) -> None:
    rentals = Funnel.open(blended.retrieval, blended.ranking, candidates=50)
    rome: dict[str, Any] = {"home_city": "Rome", "budget": 90.0}
    homes: list[Ask] = [(user, query) for user in (7, 5, None) for query in ({}, rome)]
    watch = {"device": "tv", "hour": 21}
    films: list[Ask] = [(3, watch), (4, {"hour": 1}), (5, {"hour": 2, "device": "tv"})]
    for funnel, asks in ((rentals, homes), (film_funnel, films)):
        condition = where if funnel is rentals else None
        lists = batch_lists(funnel, asks, condition)
        for (user, query), expected in zip(asks, lists, strict=True):
            found = funnel.recommend(user, k=40, query=query, where=condition)
            names = [n for n in found.columns if n in expected.columns]
            mine, theirs = found.select(names), expected.head(40).select(names)
            assert_frame_equal(mine, theirs, rel_tol=1e-5, abs_tol=1e-7)


def test_cells_of_items_are_cleaned_once(
    film_funnel: Funnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[str] = []
    clean = Cleaner.clean

    def noted(self: Cleaner, chunk: Chunk) -> pl.DataFrame:
        cleaned.extend(self.schema.columns)
        return clean(self, chunk)

    monkeypatch.setattr(Cleaner, "clean", noted)
    film_funnel.recommend(3, query={"device": "tv", "hour": 1})
    assert {"film", "genre", "year"} <= set(cleaned)
    cleaned.clear()
    film_funnel.recommend(4, query={"device": "tv", "hour": 2})
    assert not {"film", "genre", "year"} & set(cleaned)


def test_a_funnel_is_one_line(funnel: Funnel, rentals: Runs) -> None:
    runs = f"'{rentals.retrieval.folder}', '{rentals.ranking.folder}'"
    assert repr(funnel) == f"Funnel({runs}; 50 candidates)"
