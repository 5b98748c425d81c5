"""Asking a trained run: recommend, search, similar, and its index."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.errors import CrosstowerWarning, DataError, QueryError, RunError
from crosstower.retrieval.build_index import build_index
from crosstower.retrieval.evaluate import evaluate_retrieval_on
from crosstower.retrieval.files import SEEN_ITEMS, USER
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.results import metrics_of, stored_report
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

from ..fixtures.films import GENRES, films, recipe, watches


@pytest.fixture
def copy(film_run: Run, tmp_path: Path) -> Run:
    """The run in a folder of its own, to write into."""
    shutil.copytree(film_run.folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.mark.parametrize("user", [0, 1, 2, "4"])
def test_a_user_gets_films_of_the_genre_that_he_watches(film_run: Run, user: int | str) -> None:
    found = ct.Retriever.open(film_run).recommend(user, k=8)
    assert found.columns == ["rank", "item_id", "score", "genre", "title", "year"]
    assert found["rank"].to_list() == list(range(1, 9))
    assert (found["genre"] == GENRES[int(user) % 3]).mean() >= 0.75
    assert found["score"].is_sorted(descending=True)


def test_answers_are_those_of_the_evaluation(film_run: Run, tmp_path: Path) -> None:
    """Training, test lists and serving encode alike: the stored test lists come back."""
    retriever = Retriever.open(film_run)
    rows = pl.read_parquet(film_run.recipe.data.path or "")
    last = rows.sort("time").group_by("user", maintain_order=True).last()
    stored = pl.read_parquet(film_run.model_folder("two_tower", 0) / "test.parquet")["shown"]
    asked = pl.read_parquet(film_run.folder / "retrieval" / "questions.parquet")["asked"].to_list()
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
    retriever = Retriever.open(film_run)
    nobody = retriever.recommend(None, k=5)
    with pytest.warns(CrosstowerWarning, match="unknown: asked without a history"):
        assert retriever.recommend("nobody", k=5).equals(nobody)
    with pytest.warns(CrosstowerWarning, match="user 1000000 is unknown"):
        assert retriever.recommend(10**6, k=5).equals(nobody)


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


def test_questions_that_a_run_cannot_answer(film_run: Run, search_run: Run) -> None:
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


@pytest.mark.parametrize("kind", ["exact", "ann"])
def test_an_index_is_built_measured_used_and_replaced(copy: Run, kind: str) -> None:
    retriever = Retriever.open(copy)
    plain = retriever.recommend(9)["item_id"].to_list()
    for storage in ("float32", "bfloat16"):
        facts = build_index(retriever, kind=kind, storage=storage)  # type: ignore[arg-type]
        assert facts.recall > 0.9
        assert facts.queries_per_second > 0
        assert (facts.items, facts.width) == (60, 8)
        found = Retriever.open(copy)
        assert type(found.index).__name__ == {"exact": "ExactIndex", "ann": "AnnIndex"}[kind]
        assert len(set(found.recommend(9)["item_id"]) & set(plain)) >= 9
    assert not [p for p in copy.folder.iterdir() if p.name.startswith(".")]


@pytest.mark.filterwarnings("ignore")
def test_an_index_in_milvus_answers_the_run(copy: Run, tmp_path: Path) -> None:
    retriever = Retriever.open(copy)
    plain = retriever.recommend(9, where="year > 1970")["item_id"].to_list()
    facts = build_index(retriever, kind="milvus", uri=str(tmp_path / "films.db"))
    assert facts.recall == 1.0
    found = Retriever.open(copy).recommend(9, where="year > 1970")
    assert found["item_id"].to_list() == plain
    with pytest.raises(QueryError, match="--kind milvus"):
        build_index(retriever, kind="exact", uri="x")
    with pytest.raises(QueryError, match="--kind milvus"):
        build_index(retriever, kind="milvus")


def test_an_index_of_another_model_is_refused(copy: Run) -> None:
    ExactIndex.build(["a"], np.ones((1, 3))).save(copy.folder / "index")
    with pytest.raises(RunError, match=r"width 3, the model's have 8.*another model"):
        Retriever.open(copy).recommend(1)


def test_an_index_cut_short_is_refused(copy: Run) -> None:
    build_index(Retriever.open(copy))
    path = copy.folder / "index" / "vectors.npy"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match=r"vectors\.npy: damaged"):
        Retriever.open(copy).recommend(1)


def test_seeds_have_answers_of_their_own(film_run: Run) -> None:
    one, other = (Retriever.open(film_run, seed=s).recommend(1)["score"] for s in (0, 1))
    assert not one.equals(other)


def test_a_run_that_ranks_is_refused(folder: Path, recipe: ct.Recipe) -> None:
    ranker = ct.fit(recipe, out=folder / "run", quiet=True, overrides=[])
    with pytest.raises(RunError, match="without a retrieval section"):
        Retriever.open(ranker)


def test_a_test_file_is_evaluated(film_run: Run, tmp_path: Path) -> None:
    watches(300, seed=5).write_parquet(tmp_path / "later.parquet")
    report, page = evaluate_retrieval_on(
        film_run, tmp_path / "later.parquet", tmp_path / "page.html"
    )
    metrics = metrics_of(report)
    assert list(metrics) == ["two_tower", "popularity", "item_knn", "ease"]
    assert metrics["two_tower"]["recall@10"]["mean"] > metrics["popularity"]["recall@10"]["mean"]
    assert "these rows" in page.read_text()
    unknown = watches(10).with_columns(film=pl.lit("f99"))
    with pytest.raises(DataError, match="film 'f99' is not in the item table: 10 of 10 rows"):
        evaluate_retrieval_on(film_run, unknown, tmp_path / "page.html")


def test_a_test_file_of_searches_is_evaluated(search_run: Run, tmp_path: Path) -> None:
    report, _ = evaluate_retrieval_on(search_run, watches(100, seed=5), tmp_path / "page.html")
    metrics = metrics_of(report)
    assert list(metrics) == ["two_tower", "popularity"]
    assert json.dumps(metrics)
    assert report.questions == 100
    assert stored_report(search_run).questions != 100
