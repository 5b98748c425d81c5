"""A query without a time has that of the request, for the retriever and for the ranker."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.fitting.fit import fit
from crosstower.funnel.evaluation import evaluate_funnel
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.recipe.own_columns import PREDICTION
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.queries import Queries
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.retraining.stage import time_column
from crosstower.training.run import Run

from ...fixtures.funnels import QUICK

BEGIN, PLACES = 1_780_000_000, 20
MORNING, NIGHT = datetime(2026, 6, 3, 9, tzinfo=UTC), datetime(2026, 6, 3, 23, tzinfo=UTC)
HOUR = {"kind": "calendar", "part": "hour", "source": "at"}
CLOCKS = ("funnel.online.ranker", "funnel.online.row_ranker", "retrieval.queries")


def visits(count: int = 1_200) -> pl.DataFrame:
    """Bars are visited from noon on, parks before."""
    random = np.random.default_rng(0)
    at, place = BEGIN + 3_600 * np.arange(count), random.integers(0, PLACES, count)
    night = (at // 3_600 % 24 >= 12).astype(int)
    kind = np.array(["park", "bar"])[place % 2]
    went = random.random(count) < np.where(place % 2 == night, 0.9, 0.1)
    columns = {"user": random.integers(0, 30, count), "place": place, "kind": kind}
    return pl.DataFrame(columns | {"at": at, "went": went.astype(np.int8)})


def make(folder: Path, **more: Any) -> Bundle:
    """`more` are columns of the ranker, which is divided at random if there are any."""
    visits().write_parquet(folder / "rows.parquet")
    data = {"path": str(folder / "rows.parquet"), "split": {"kind": "time", "column": "at"}}
    items = {"place": "categorical", "kind": "categorical"}
    retrieval: dict[str, Any] = {
        "name": "retrieval",
        "data": data,
        "schema": {"columns": {"hour": HOUR, **items}},
        "model": {"item": ["place", "kind"], "dim": 8, "embedding_dim": 8},
        "retrieval": {"item": "place", "user": "user", "where": "went == 1",
                      "exclude_seen": False, "baselines": ["popularity"]},
        "training": {**QUICK, "epochs": 12, "batch_size": 64, "learning_rate": 0.01},
    }  # fmt: skip
    ranking: dict[str, Any] = {
        "name": "ranking",
        "data": {**data, "split": {"kind": "random"}} if more else data,
        "schema": {
            "columns": {
                **items,
                **more,
                "hour": HOUR,
                "when": {
                    "kind": "cross",
                    "columns": ["kind", "hour"],
                    "hash_buckets": 200,
                    "dim": 4,
                },
            },
            "tasks": {"went": "binary"},
        },
        "model": {"name": "dcn_v2", "embedding_dim": 8, "hidden": [16]},
        "training": {**QUICK, "epochs": 4},
        "evaluation": {"baselines": []},
    }
    runs = [fit(Recipe.model_validate(one), out=folder / one["name"], quiet=True)
            for one in (retrieval, ranking)]  # fmt: skip
    return make_bundle(runs, folder / "bundle", candidates=PLACES)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(tmp_path_factory.mktemp("visits"))


@pytest.fixture
def at_night(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in CLOCKS:
        monkeypatch.setattr(f"crosstower.{place}.present_minute", lambda: NIGHT)


def lists(bundle: Bundle, **query: Any) -> Ranked:
    funnel = Live.open(bundle).funnel
    assert isinstance(funnel, OnlineFunnel)
    assert funnel.needed_columns == []
    return funnel.recommend(FunnelRequest(user=3, query=query, k=PLACES))


def same(one: Ranked, other: Ranked) -> bool:
    pairs = [(one.places, other.places), (one.score, other.score),
             (one.retrieval_score, other.retrieval_score)]  # fmt: skip
    return all(np.array_equal(a, b) for a, b in pairs)  # type: ignore[arg-type]


@pytest.mark.usefixtures("at_night")
def test_a_request_has_its_own_time_unless_it_gives_one(bundle: Bundle) -> None:
    now, given = lists(bundle), lists(bundle, at=NIGHT.isoformat())
    assert same(now, given)
    assert same(now, lists(bundle, at=int(NIGHT.timestamp())))
    morning = lists(bundle, at=MORNING.isoformat())
    assert not np.array_equal(morning.retrieval_score, now.retrieval_score)
    kinds = visits().unique("place").sort("place")["kind"].to_list()
    retriever = bundle.retriever()
    ids = [retriever.catalogue.ids_at(found.places)[0] for found in (now, morning)]
    assert [kinds[int(one)] for one in ids] == ["bar", "park"]


def test_scores_are_those_of_rows_with_the_same_time(bundle: Bundle) -> None:
    found = lists(bundle, at=NIGHT.isoformat())
    assert bundle.ranking is not None
    ids = bundle.retriever().catalogue.ids_at(found.places)
    kinds = dict(visits().select("place", "kind").iter_rows())
    times = [int(NIGHT.timestamp())] * len(ids)
    rows = pl.DataFrame({"place": ids, "kind": [kinds[one] for one in ids], "at": times})
    scores = bundle.ranking.predict(rows)[f"went{PREDICTION}"].to_list()
    assert found.predictions["went"].tolist() == pytest.approx(scores, abs=1e-6)


@pytest.mark.usefixtures("at_night")
def test_rows_without_a_time_have_that_of_the_request(bundle: Bundle) -> None:
    ranker = Live.open(bundle).needs_rows
    rows: list[dict[str, Any]] = [{"place": n, "kind": ["park", "bar"][n % 2]} for n in (0, 1)]
    now = ranker.rank(FunnelRequest(), rows)
    assert now.places.tolist() == [1, 0]
    timed = [{**row, "at": NIGHT.isoformat()} for row in rows]
    assert np.array_equal(now.score, ranker.rank(FunnelRequest(), timed).score)
    morning = ranker.rank(FunnelRequest(query={"at": MORNING.isoformat()}), rows)
    assert morning.places.tolist() == [0, 1]
    seconds = int(MORNING.timestamp())
    for time in (seconds, seconds * 1000, f"{seconds}", MORNING.isoformat()):
        mixed = ranker.rank(FunnelRequest(), [{**rows[0], "at": time}, rows[1]])
        assert sorted(mixed.score) == sorted([*morning.score[:1], *now.score[:1]])


def test_a_time_of_the_request_is_no_attribute_of_a_user(bundle: Bundle) -> None:
    funnel = Live.open(bundle).funnel
    assert isinstance(funnel, OnlineFunnel)
    assert "at" in funnel.query_columns
    assert "at" not in funnel.users.columns


@pytest.mark.usefixtures("at_night")
def test_a_known_user_asks_now_and_not_at_the_last_row(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle.retrieval is not None
    retriever = Retriever.open(bundle.retrieval)
    now, _ = retriever.query(3, {})
    assert np.array_equal(now, retriever.query(3, {"at": NIGHT.isoformat()})[0])
    assert not np.array_equal(now, retriever.query(3, {"at": MORNING.isoformat()})[0])
    monkeypatch.setattr("crosstower.retrieval.tower_vectors.present_minute", lambda: NIGHT)
    vectors = bundle.retrieval.user_vectors(users=[3])["vector"].to_numpy()
    assert vectors[0] == pytest.approx(now.ravel(), abs=1e-6)


def test_evaluated_queries_have_the_times_of_their_rows(bundle: Bundle) -> None:
    runs = [Run.open(bundle.folder.parent / name) for name in ("retrieval", "ranking")]
    funnel = Funnel.open(*runs, candidates=PLACES)
    assert time_column(*(run.recipe for run in runs)) == "at"
    of_run = evaluate_funnel(funnel, k=10)
    later = visits().tail(200).with_columns(pl.col("at") + 3_600 * 24 * 30)
    wrong = later.with_columns(pl.col("at") + 3_600 * 12)  # night is day
    right, swapped = (evaluate_funnel(funnel, k=10, data=rows) for rows in (later, wrong))
    for stage in ("retrieved", "ranked"):
        reports = (of_run, right, swapped)
        found = [report.stage(stage).metrics["recall@10"].mean for report in reports]
        assert min(found[:2]) > 0.6, (stage, found)
        assert found[2] < 0.4, (stage, found)


@pytest.mark.usefixtures("at_night")
def test_a_ranker_of_rows_in_any_order_has_the_time_of_the_retriever(tmp_path: Path) -> None:
    open_hours = {"kind": "elapsed", "start": "at", "end": "at", "transform": "none"}
    bundle = make(tmp_path, always=open_hours)
    now, given = lists(bundle), lists(bundle, at=NIGHT.isoformat())
    assert same(now, given)
    assert not np.array_equal(lists(bundle, at=MORNING.isoformat()).score, now.score)


@pytest.mark.usefixtures("at_night")
def test_a_time_that_the_ranker_reads_as_a_number_must_be_given(tmp_path: Path) -> None:
    bundle = make(tmp_path, week={"kind": "formula", "expression": "at / 604800"})
    funnel = Live.open(bundle).funnel
    assert isinstance(funnel, OnlineFunnel)
    assert funnel.needed_columns == ["at"]
    with pytest.raises(QueryError, match="the ranking run needs the column 'at'"):
        funnel.recommend(FunnelRequest(user=3, k=PLACES))
    assert len(funnel.recommend(FunnelRequest(user=3, query={"at": BEGIN}, k=PLACES)).places)


def test_a_number_that_overflows_fails_its_request_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    funnel = Live.open(bundle).funnel
    assert isinstance(funnel, OnlineFunnel)
    vectors = Queries.vectors

    def overflowing(self: Queries, *args: Any) -> np.ndarray:
        found = vectors(self, *args)
        found[0] = np.nan
        return found

    monkeypatch.setattr(Queries, "vectors", overflowing)
    lost, found = funnel.recommend_each([FunnelRequest(user=user, k=5) for user in (3, 4)])
    assert isinstance(lost, QueryError)
    assert isinstance(found, Ranked)
    assert len(found.places) == PLACES
