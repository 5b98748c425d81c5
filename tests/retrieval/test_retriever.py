"""Asking a trained run: recommend, search, similar, and its index."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.errors import CrosstowerWarning, QueryError, RunError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import SEEN_ITEMS, USER
from crosstower.serving.bundle.live import Live
from crosstower.training.run import Run

from ..fixtures.films import GENRES, films, recipe, watches
from ..fixtures.live_films import LiveFilms


@pytest.mark.parametrize("user", [0, 1, 2, "4"])
def test_a_user_gets_films_of_the_genre_that_he_watches(film_run: Run, user: int | str) -> None:
    found = ct.Retriever.open(film_run).recommend(user, k=8)
    assert found.columns == ["rank", "item_id", "score", "genre", "title", "year"]
    assert found["rank"].to_list() == list(range(1, 9))
    assert (found["genre"] == GENRES[int(user) % 3]).mean() >= 0.75
    assert found["score"].is_sorted(descending=True)


def test_lists_are_those_of_the_evaluation(film_run: Run, tmp_path: Path) -> None:
    """Training, test lists and serving encode alike: the stored test lists come back."""
    retriever = Retriever.open(film_run)
    rows = pl.read_parquet(film_run.recipe.data.path or "")
    last = rows.sort("time").group_by("user", maintain_order=True).last()
    stored = pl.read_parquet(film_run.model_folder("two_tower", 0) / "test.parquet")["shown"]
    asked = pl.read_parquet(film_run.folder / "retrieval" / "queries.parquet")["id"].to_list()
    users = pl.read_parquet(film_run.folder / "retrieval" / "users.parquet")
    for user in (0, 7, 63):
        history = users.filter(pl.col(USER) == user)[SEEN_ITEMS][0][:-1]  # before the test row
        device = last.filter(pl.col("user") == user)["device"][0]
        row = retriever.queries.row(None, None, {"device": device})
        vector = retriever.queries.vectors([row], [history.to_numpy()])
        index = ExactIndex.build(retriever.catalogue.ids, retriever.vectors)
        shown = index.search(vector, 20).places[0].tolist()
        assert shown == stored[asked.index(user)].to_list()


def test_filters_and_k(film_run: Run) -> None:
    retriever = Retriever.open(film_run)
    found = retriever.recommend(0, k=50, where="year >= 2000 and genre != 'drama'")
    expected = films().filter((pl.col("year") >= 2000) & (pl.col("genre") != "drama"))
    assert sorted(found["item_id"]) == sorted(expected["film"])
    assert retriever.recommend(0, k=500).height == 60
    assert retriever.recommend(0, where="year > 3000").height == 0


def test_what_a_user_has_had_is_left_out_where_the_recipe_says_so(tmp_path: Path) -> None:
    one = recipe(
        tmp_path,
        retrieval={"exclude_seen": True, "baselines": ["popularity"]},
        training={"epochs": 1},
    )
    rows = watches(700)
    run = ct.fit(one, data=rows, out=tmp_path / "run", quiet=True)
    history = set(rows.filter(pl.col("user") == 5)["film"])
    found = Retriever.open(run).recommend(5, k=60)
    assert set(found["item_id"]) == set(films()["film"]) - history


def test_an_unknown_user_has_no_history(film_run: Run) -> None:
    retriever, query = Retriever.open(film_run), {"device": "tv"}
    nobody = retriever.recommend(None, k=5, query=query)
    with pytest.warns(CrosstowerWarning, match="unknown: treated as a user without a history"):
        assert retriever.recommend("nobody", k=5, query=query).equals(nobody)
    with pytest.warns(CrosstowerWarning, match="user 1000000 is unknown"):
        assert retriever.recommend(10**6, k=5, query=query).equals(nobody)


def test_a_user_without_any_information_gets_popular_items(film_run: Run) -> None:
    retriever = Retriever.open(film_run)
    most = retriever.catalogue.ids_at(retriever.popular(5).places[0])
    assert retriever.recommend(None, k=5)["item_id"].to_list() == most
    words = "user 1000000 is unknown, and no items were retrieved: popular items instead, scored by"
    with pytest.warns(CrosstowerWarning, match=words):
        assert retriever.recommend(10**6, k=5)["item_id"].to_list() == most


def test_query_columns_take_the_place_of_the_users_last_row(film_run: Run) -> None:
    retriever = Retriever.open(film_run)
    tv = retriever.recommend(3, query={"device": "tv"})["score"]
    phone = retriever.recommend(3, query={"device": "phone"})["score"]
    assert not tv.equals(phone)
    with pytest.raises(QueryError, match="no column 'devise'; did you mean 'device'"):
        retriever.recommend(3, query={"devise": "tv"})


def test_similar_films_are_of_the_same_genre(film_run: Run) -> None:
    found = Retriever.open(film_run).similar("f03", k=10)
    assert "f03" not in set(found["item_id"])
    assert (found["genre"] == "drama").mean() >= 0.8
    assert found["score"].is_between(-1.0001, 1.0001).all()
    with pytest.raises(QueryError, match="no item 'f3' among 60"):
        Retriever.open(film_run).similar("f3")


def test_words_find_what_they_name(search_run: Run) -> None:
    retriever = Retriever.open(search_run)
    found = retriever.search("something of war", k=10)
    assert (found["genre"] == "war").mean() >= 0.9
    old = retriever.search("comedy", k=5, where="year < 1980")
    assert (old["genre"] == "comedy").mean() >= 0.8
    assert (old["year"] < 1980).all()


def test_queries_that_a_run_refuses(film_run: Run, search_run: Run) -> None:
    with pytest.raises(QueryError, match="one text column in the query, this one has none"):
        Retriever.open(film_run).search("war")
    with pytest.raises(QueryError, match=r"no retrieval\.user"):
        Retriever.open(search_run).recommend(5)
    with pytest.raises(QueryError, match="did you mean 'year'"):
        Retriever.open(film_run).recommend(5, where="yaer > 1")
    with pytest.raises(QueryError, match="column 'year' holds Int64, got 'x'"):
        Retriever.open(film_run).recommend(5, where="year == 'x'")
    with pytest.raises(QueryError, match=r"query: column 'device': expected an id"):
        Retriever.open(film_run).recommend(5, query={"device": 1.5})
    with pytest.raises(QueryError, match="k: expected at least 1"):
        Retriever.open(film_run).recommend(5, k=0)


def test_seeds_have_lists_of_their_own(film_run: Run) -> None:
    one, other = (Retriever.open(film_run, seed=s).recommend(1)["score"] for s in (0, 1))
    assert not one.equals(other)


def test_a_run_that_ranks_is_refused(folder: Path, recipe: ct.Recipe) -> None:
    ranker = ct.fit(recipe, out=folder / "run", quiet=True, overrides=[])
    with pytest.raises(RunError, match="without a retrieval section"):
        Retriever.open(ranker)


@pytest.mark.parametrize(
    ("user", "history"), [(3, []), (3, ["x"]), (None, ["x"]), (None, ["f01"]), ("new", ["f01"])]
)
@pytest.mark.filterwarnings("ignore::crosstower.CrosstowerWarning")
def test_popular_items_stand_in_for_an_empty_history(
    live_films: LiveFilms, user: int | str | None, history: list[str]
) -> None:
    retriever = Retriever.open(live_films.only.folder / "retrieval")
    found = retriever.recommend(user, k=6, history=history)
    popular = retriever.popular(6).scores[0].tolist()
    funnel = Live.open(live_films.only).needs_funnel
    request = FunnelRequest(user, k=6, history=tuple(history))
    stands_in = funnel.recommend(request).fallback is not None
    assert stands_in == (history != ["f01"])
    assert (found["score"].to_list() == popular) == stands_in


def test_a_query_without_a_direction_gets_popular_items(
    film_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = Retriever.open(film_run)
    nothing = np.zeros((1, 8), np.float32)
    monkeypatch.setattr(retriever.queries, "vectors", lambda *_: nothing)
    popular = retriever.popular(4)
    assert retriever.recommend(7, k=4)["item_id"].to_list() == retriever.catalogue.ids_at(
        popular.places[0]
    )


@pytest.mark.parametrize("history", [5, "f01"])
def test_a_history_that_is_no_list_is_refused(history: Any, film_run: Run) -> None:
    with pytest.raises(QueryError, match="history: expected a list of item ids, got "):
        Retriever.open(film_run).recommend(history=history)


def test_a_retriever_is_one_line(film_run: Run) -> None:
    shown = f"Retriever('{film_run.folder}': two_tower, seed 0; items by film)"
    assert repr(Retriever.open(film_run)) == shown
