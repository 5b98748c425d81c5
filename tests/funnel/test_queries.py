"""Evaluation queries of a funnel: their rows, columns and notes."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.errors import DataError, QueryError, RunError
from crosstower.fitting.fit import fit
from crosstower.funnel.evaluation import evaluate_funnel, funnel_lists
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.queries import queries_of_rows, queries_of_run
from crosstower.training.run import Run

from ..fixtures.funnels import Runs, films_recipes, watches
from ..fixtures.live_films import LiveFilms
from ..fixtures.live_films import rows as live_rows


def test_rows_of_the_ranking_run_are_not_new_to_it(cinema: Runs) -> None:
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    path = cinema.ranking.recipe.data.path
    report = evaluate_funnel(funnel, data=path, columns=["hour"])
    assert report.notes[0] == "the ranking run was made of these rows: ranked lists look too good"


@pytest.mark.parametrize("kind", [str, Path])
def test_rows_of_the_ranking_run_are_known_however_their_path_is_written(
    cinema: Runs, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    path = Path(cinema.ranking.recipe.data.path or "")
    monkeypatch.chdir(path.parent)
    (path.parent / "below").mkdir(exist_ok=True)
    for written in (path.name, f"below/../{path.name}"):
        report = evaluate_funnel(funnel, data=kind(written), columns=["hour"])
        assert report.notes[0].startswith("the ranking run was made of these rows")
    shutil.copy(path, "copy.parquet")
    other = evaluate_funnel(funnel, data=kind("copy.parquet"), columns=["hour"])
    assert not any("was made of these rows" in note for note in other.notes)


def test_a_ranker_that_needs_more_of_the_rows_is_told_so(cinema: Runs) -> None:
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    with pytest.raises(QueryError, match="column 'hour', which neither") as error:
        evaluate_funnel(funnel)
    assert "--column hour (columns=['hour'] in Python)" in str(error.value)
    assert "give it with the query" not in str(error.value)
    with pytest.raises(QueryError, match=r"give rows to evaluate on that have it .*--column hour"):
        evaluate_funnel(funnel, data=watches(90, seed=8).drop("hour"))
    with pytest.raises(DataError, match="no column 'our'; did you mean 'hour'"):
        evaluate_funnel(funnel, columns=["our"])
    with pytest.raises(QueryError, match="'genre' is a column of the items, so each candidate"):
        evaluate_funnel(funnel, columns=["hour", "genre"])
    queries = queries_of_run(funnel, ["hour"], lambda _stage, _rows: None)
    liked = watches().filter(pl.col("liked") == 1).group_by("user").tail(1)
    expected = dict(liked.select("user", "hour").iter_rows())
    found = dict(queries.columns.select("user", "hour").iter_rows())
    assert found == {user: expected[user] for user in found}
    assert evaluate_funnel(funnel, columns=["hour"]).stage("ranked").queries == len(found)


def test_searches_without_users_are_evaluated(cinema: Runs, tmp_path: Any) -> None:
    retrieval, _ = films_recipes(tmp_path, {"kind": "random"})
    section = retrieval.retrieval.model_copy(update={"user": None, "time": None})  # type: ignore[union-attr]
    run = fit(retrieval.model_copy(update={"retrieval": section}), out=tmp_path / "r", quiet=True)
    funnel = Funnel.open(run, cinema.ranking)
    report = evaluate_funnel(funnel, columns=["user", "hour"])
    tested = pl.read_parquet(run.folder / "retrieval" / "queries.parquet")
    assert report.queries == report.relevant == tested.height
    later = evaluate_funnel(funnel, columns=["user", "hour"], data=watches(90, seed=8))
    assert later.queries == later.relevant == watches(90, seed=8)["liked"].sum()
    assert funnel.recommend(query={"user": 3, "hour": 2, "device": "tv"}).height == 10


def test_rows_that_have_changed_are_refused(cinema: Runs, tmp_path: Any) -> None:
    shutil.copytree(cinema.retrieval.folder, tmp_path / "run")
    watches(seed=1).write_parquet(tmp_path / "rows.parquet")
    recipe = Run.open(tmp_path / "run").recipe
    data = recipe.data.model_copy(update={"path": str(tmp_path / "rows.parquet")})
    moved = Run(tmp_path / "run", recipe.model_copy(update={"data": data}), cinema.retrieval.info)
    with pytest.raises(RunError, match="the rows have changed since this run was trained"):
        evaluate_funnel(Funnel.open(moved, cinema.ranking), columns=["hour"])


def test_a_run_trained_on_a_data_frame_asks_for_rows(cinema: Runs) -> None:
    run = cinema.retrieval
    data = run.recipe.data.model_copy(update={"path": None})
    framed = Run(run.folder, run.recipe.model_copy(update={"data": data}), run.info)
    funnel = Funnel.open(framed, cinema.ranking)
    with pytest.raises(RunError, match=r"trained on a data frame.*give rows that it has not seen"):
        evaluate_funnel(funnel, columns=["hour"])
    assert evaluate_funnel(funnel, columns=["hour"], data=watches(200, seed=3)).queries > 0


def test_a_ranker_reads_the_history_that_the_retriever_reads(live_films: LiveFilms) -> None:
    funnel = Funnel.open(live_films.retrieval, live_films.ranking)
    queries = queries_of_run(funnel, [], lambda _stage, _rows: None)
    last = pl.col("time").rank("ordinal", descending=True).over("user")
    earlier = live_rows().with_columns(last=last).filter(pl.col("last") > 1).sort("user", "time")
    expected = dict(earlier.group_by("user").agg(pl.col("film").tail(5)).iter_rows())
    found = dict(queries.columns.select("user", "had").iter_rows())
    assert found == {user: expected.get(user, []) for user in found}
    assert len(found) > 40
    given = queries_of_run(funnel, ["had"], lambda _stage, _rows: None)  # as the rows have it
    assert given.columns["had"].list.len().max() == 4
    assert evaluate_funnel(funnel).stage("ranked").queries == len(found)


def test_nothing_is_known_of_a_new_user_whose_history_alone_is_read(live_films: LiveFilms) -> None:
    only = live_films.retrieval.folder.parent / "only"
    funnel = Funnel.open(only, live_films.ranking, candidates=6)
    old, new = live_rows().tail(2).with_columns(film=pl.Series(["f00", "f01"])).iter_slices(1)
    rows = pl.concat([old, new.with_columns(user=pl.lit(1_000, pl.Int64))])
    queries = queries_of_rows(funnel, rows, ["device"], lambda _stage, _rows: None)
    assert queries.evaluation.ids.to_list() == [59, 1_000]
    assert queries.informed.tolist() == [True, False]
    assert queries.sampled(1, seed=0).informed.shape == (1,)
    found = funnel_lists(funnel, queries, k=3, limit=10**6)
    popular = funnel.retriever.popular(6, segment=new["country"][0])
    assert found.candidates[1].tolist() == popular.places[0].tolist()
    other = Funnel.open(live_films.retrieval, live_films.ranking)
    assert queries_of_rows(other, rows, [], lambda _stage, _rows: None).informed.all()
