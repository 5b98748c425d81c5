"""Columns of retrieval of ranking rows: without leaks, and the same in the funnel and a server."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.funnel.evaluation import evaluate_funnel, funnel_lists
from crosstower.funnel.features import retrieval_features
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.online.request import FunnelRequest
from crosstower.funnel.queries import queries_of_rows
from crosstower.funnel.retrieved_columns import SCORE, SOURCES
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.online.users import LiveUser
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle.live import Live

from ..fixtures.live_films import LiveFilms
from ..fixtures.retrieved_films import (
    FILMS,
    QUICK,
    START,
    TOTAL,
    RetrievedFilms,
    recipes,
    watches,
)

END = START + 60 * 900


def later(count: int = 60, seed: int = 5) -> pl.DataFrame:
    """Impressions after all rows of the runs."""
    return watches(count, start=END, seed=seed)


def pairs(user: int, device: str, *, time: int) -> pl.DataFrame:
    """Every film for a user, at a time."""
    return pl.DataFrame({"film": [f"f{i:02d}" for i in range(FILMS)]}).select(
        user=pl.lit(user, pl.Int64),
        film="film",
        time=pl.lit(time, pl.Int64),
        device=pl.lit(device),
        liked=pl.lit(0, pl.Int64),
    )


def test_only_rows_after_the_training_of_the_retriever_are_written(
    retrieved_films: RetrievedFilms,
) -> None:
    rows = watches(900)
    found = retrieval_features(retrieved_films.retrieval, rows)
    liked = rows.filter(pl.col("liked") == 1)
    last = int(liked["time"][int(0.4 * len(liked)) - 1])
    assert abs(found.frame["time"].min() - last) <= 120  # type: ignore[operator]
    assert found.trained + found.frame.height == rows.height
    assert found.untimed == 0
    assert found.frame.columns == [*rows.columns, SCORE, SOURCES]
    assert found.frame.equals(retrieved_films.rows)


def test_features_are_those_of_the_history_before_each_row(retrieved_films: RetrievedFilms) -> None:
    """An oracle: rows one by one, with the history that a loop collects."""
    rows = pl.concat([watches(900), later()])
    found = retrieval_features(retrieved_films.retrieval, rows).frame
    online = Live.open(retrieved_films.bundle).needs_funnel
    vectors = online.retriever.vectors
    sources = online.catalogue.sources
    assert sources is not None
    for row in found[::37].iter_rows(named=True):
        before = rows.filter(
            (pl.col("user") == row["user"])
            & (pl.col("time") < row["time"])
            & (pl.col("liked") == 1)
        )
        history = before["film"].to_list()
        vector, _ = online.retriever.query(row["user"], {"device": row["device"]}, history=history)
        place = int(online.catalogue.items.places_of([row["film"]])[0])
        assert row[SCORE] == pytest.approx(float(vectors[place] @ vector[0]), abs=1e-5)
        request = FunnelRequest(
            row["user"],
            {"device": row["device"]},
            history=tuple(history),
            k=1,
            candidates=TOTAL,
        )
        one = online.recommend(request)
        assert one.sources is not None
        at = np.flatnonzero(one.places == place)
        names = list(one.sources.of(int(at[0]))) if len(at) else []
        assert row[SOURCES] == names


def test_later_labels_do_not_change_the_features_of_a_row(retrieved_films: RetrievedFilms) -> None:
    rows = later()
    moment = rows["time"][30]
    flipped = pl.when(pl.col("time") >= moment).then(1 - pl.col("liked")).otherwise("liked")
    one = retrieval_features(retrieved_films.retrieval, rows).frame
    other = retrieval_features(retrieved_films.retrieval, rows.with_columns(liked=flipped)).frame
    early = pl.col("time") <= moment
    columns = [SCORE, SOURCES]
    assert one.filter(early).select(columns).equals(other.filter(early).select(columns))
    assert not one[SCORE].equals(other[SCORE])  # later rows have other histories


def test_a_retriever_that_memorises_labels_gives_its_training_rows_no_advantage(
    tmp_path: Path,
) -> None:
    """Labels are drawn at random, so that a score knows of one only if it was trained on it."""
    labels = np.random.default_rng(77).integers(0, 2, 1_200)
    rows = watches(1_200, seed=3).with_columns(liked=pl.Series(labels))
    retrieval, _ = recipes(tmp_path)
    rows.write_parquet(tmp_path / "rows.parquet")
    plain = yaml.safe_load(retrieval.to_yaml()) | {
        "schema": {"columns": {"user": "categorical", "film": "categorical"}},
        "model": {"item": ["film"], "embedding_dim": 16, "dim": 16},
        "training": {
            **QUICK,
            "epochs": 30,
            "learning_rate": 0.01,
            "embedding_learning_rate": 0.1,
        },
    }
    del plain["sources"], plain["retrieval"]["history"]
    run = fit(Recipe.model_validate(plain), out=tmp_path / "run", quiet=True)
    found = retrieval_features(run, rows)
    assert SOURCES not in found.frame.columns
    trained, retriever = rows.head(found.trained), Retriever.open(run)
    places = retriever.catalogue.places_of(trained["film"])
    scores = [
        float(retriever.query(user, None)[0][0] @ retriever.vectors[place])
        for user, place in zip(trained["user"].to_list(), places, strict=True)
    ]
    assert roc_auc_score(trained["liked"], scores) > 0.7  # what would have leaked
    assert roc_auc_score(found.frame["liked"], found.frame[SCORE]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.filterwarnings("ignore:.*unknown:crosstower.errors.CrosstowerWarning")
def test_a_server_and_prediction_of_rows_read_the_same_columns(
    retrieved_films: RetrievedFilms,
) -> None:
    more, user, device = later(), 7, "tv"
    liked = more.filter((pl.col("user") == user) & (pl.col("liked") == 1))["film"].to_list()
    rows = pl.concat([more, pairs(user, device, time=END + 10_000)])
    features = retrieval_features(retrieved_films.retrieval, rows).frame.tail(FILMS)
    predicted = retrieved_films.ranking.predict(features)["liked__prediction"].to_numpy()
    live = Live.open(retrieved_films.bundle)
    funnel = live.needs_funnel
    funnel.users.live = lambda _user: LiveUser({}, tuple(liked))
    request = FunnelRequest(user, {"device": device}, k=5)
    place_of = {film: i for i, film in enumerate(features["film"])}
    found = funnel.recommend(request)
    given = funnel.rank(FunnelRequest(user, {"device": device}), features["film"].to_list())
    assert 5 <= len(found.places) < len(given.places) == FILMS
    for ranked in (found, given):
        ids = funnel.catalogue.items.ids(ranked.places)
        wanted = predicted[[place_of[film] for film in ids]]
        np.testing.assert_allclose(ranked.predictions["liked"], wanted, atol=1e-6)
    whole = features.select("device", "film", SCORE, SOURCES).to_dicts()
    by_rows = live.needs_rows.rank(FunnelRequest(), whole)
    np.testing.assert_allclose(by_rows.predictions["liked"], -np.sort(-predicted), atol=1e-6)


def test_offline_evaluation_ranks_as_a_server(retrieved_films: RetrievedFilms) -> None:
    funnel = Funnel.open(retrieved_films.retrieval, retrieved_films.ranking)
    assert funnel.candidates == TOTAL
    queries = queries_of_rows(funnel, later(), [], lambda _stage, _rows: None)
    lists = funnel_lists(funnel, queries, k=5, limit=10**6)
    online = Live.open(retrieved_films.bundle).needs_funnel
    for query in range(0, len(queries), 4):
        columns = {"device": queries.columns["device"][query]}
        request = FunnelRequest(queries.evaluation.ids[query], columns, k=5)
        one = online.recommend(request)
        assert lists.shown["ranked"][query].tolist() == one.places[:5].tolist()
    report = evaluate_funnel(funnel, data=later(), k=5)
    assert {"all items ranked", "without item_knn"} <= {stage.name for stage in report.stages}


def test_unknown_items_and_users_have_no_features(retrieved_films: RetrievedFilms) -> None:
    rows = later(3).with_columns(
        film=pl.Series(["f01", "new", "f02"]), user=pl.Series([1, 2, 1_000])
    )
    found = retrieval_features(retrieved_films.retrieval, rows).frame
    assert found[SCORE].is_null().to_list() == [False, True, False]  # the tower reads the device
    assert found[SOURCES].is_null().to_list() == [False, True, False]
    assert "item_knn" not in found[SOURCES][2]


def test_rows_without_a_time_are_left_out(retrieved_films: RetrievedFilms) -> None:
    rows = later(4).with_columns(time=pl.Series([None, END, END + 60, None], dtype=pl.Int64))
    found = retrieval_features(retrieved_films.retrieval, rows)
    assert (found.frame.height, found.untimed, found.trained) == (2, 2, 0)


def test_rows_that_would_leak_are_refused(
    retrieved_films: RetrievedFilms, live_films: LiveFilms
) -> None:
    with pytest.raises(DataError, match="no row is later than the last training row of"):
        retrieval_features(retrieved_films.retrieval, watches(20))
    with pytest.raises(DataError, match=r"no row has a time as in .* \(time read as .*all 60 are"):
        retrieval_features(retrieved_films.retrieval, later().with_columns(pl.from_epoch("time")))
    with pytest.raises(DataError, match="device"):
        retrieval_features(retrieved_films.retrieval, later().drop("device"))
    with pytest.raises(RunError, match="ranking run"):
        retrieval_features(live_films.ranking, later())
