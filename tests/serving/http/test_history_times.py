"""Times of events: the same vectors in a batch, in Python and in a server."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.progress import no_progress
from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.queries import queries_of_run
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval import history_ages
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.tower_columns import tower_columns_of
from crosstower.retrieval.inference import query_vectors
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import SEEN_ITEMS, SEEN_TIMES, USER
from crosstower.serving.bundle import building, make_bundle
from crosstower.serving.bundle.forms import EAGER
from crosstower.training.run import Run

from ...fixtures.live_films import FILMS, UNTIL, recipes
from ...fixtures.made_once import made_once
from ..conftest import Start, event


def timed(recipe: Recipe, **more: Any) -> Recipe:
    """Return a recipe whose history reads times."""
    plain = yaml.safe_load(recipe.to_yaml())
    plain["schema"]["columns"]["had"] |= {"pooling": "hstu", "times": True}
    return Recipe.model_validate(plain | more)


def widen(retriever: Retriever) -> None:
    """Give times more weight than two epochs do."""
    torch.manual_seed(0)
    for name, parameter in retriever.model.named_parameters():
        if "time_bias" in name:
            torch.nn.init.normal_(parameter, std=2.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A retriever that reads times, a ranker whose rows have lists of them, and bundles."""

    def make(place: Path) -> None:
        retrieval, ranking = recipes(place)
        first = fit(timed(retrieval), out=place / "run", quiet=True)
        make_bundle([first], place / "bundle")
        rows = pl.read_parquet(place / "rows.parquet")
        rows.with_columns(whens=_times(rows)).write_parquet(place / "ranked.parquet")
        plain = yaml.safe_load(ranking.to_yaml())
        had = {"pooling": "hstu", "times": "whens", "target": "film", "blocks": 1}
        plain["schema"]["columns"]["had"] |= had
        plain["data"]["path"] = str(place / "ranked.parquet")
        second = fit(Recipe.model_validate(plain), out=place / "ranking", quiet=True)
        with pytest.MonkeyPatch.context() as patch:  # an export takes long
            patch.setattr(building, "write_fastest", lambda *_, **__: EAGER)
            make_bundle([first, second], place / "both", candidates=FILMS)

    return made_once(tmp_path_factory, "timed-films", make)


def _times(rows: pl.DataFrame) -> pl.Series:
    """Return the times of the films in `had`."""
    user, time = rows["user"].to_list(), rows["time"].to_list()
    spans = [range(max(i - 4, 0), i) for i in range(len(rows))]
    return pl.Series([[time[k] for k in s if user[k] == user[i]] for i, s in enumerate(spans)])


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let requests be made at a time after the last training row."""
    clock = SimpleNamespace(time=lambda: UNTIL + seconds)
    monkeypatch.setattr(history_ages, "time", clock)


def vector(
    retriever: Retriever, device: str | None, items: list[str], times: list[int], now: int
) -> np.ndarray:
    """Encode a query as training does."""
    run, sides = retriever.run, tower_columns_of(retriever.run.recipe)
    places = retriever.catalogue.places_of(items)
    frame = pl.DataFrame({"device": pl.Series([device], dtype=pl.String)})
    compact = PartialEncoder(run.encoder, sides.query).encode(frame)
    encoder = QueryEncoder(run.encoder, sides, retriever.catalogue.ids)
    histories = Histories(places, np.array([0, len(places)]), np.array(times, np.int64))
    found = query_vectors(
        retriever.model, encoder, compact, np.array([0]), histories, times=np.array([now])
    )
    return found.numpy()


def test_a_run_keeps_the_times_of_its_users(folder: Path) -> None:
    users = pl.read_parquet(folder / "run" / "retrieval" / "users.parquet")
    rows = pl.read_parquet(folder / "rows.parquet").sort("user", "time")
    wanted = rows.filter(pl.col("user") == 7)["time"].to_list()
    assert users.filter(pl.col(USER) == 7)[SEEN_TIMES].item().to_list() == wanted
    assert len(users.filter(pl.col(USER) == 7)[SEEN_ITEMS].item()) == len(wanted)


def test_a_request_counts_from_its_own_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = Retriever.open(folder / "run")
    widen(retriever)
    known = retriever.queries.known(3)
    assert known is not None
    assert known.times is not None
    items, times = retriever.catalogue.ids.gather(known.history).to_list(), known.times.tolist()
    found = list[np.ndarray]()
    for seconds in (5, 100_000):
        set_clock(monkeypatch, seconds)
        found.append(retriever.query(3, {"device": "tv"})[0])
        wanted = vector(retriever, "tv", items, times, UNTIL + seconds)
        np.testing.assert_allclose(found[-1], wanted, rtol=1e-4, atol=1e-6)
        given = [datetime.fromtimestamp(one, UTC) for one in times]
        same = retriever.query(3, {"device": "tv"}, history=items, history_times=given)[0]
        np.testing.assert_allclose(same, wanted, rtol=1e-4, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    now = retriever.query(3, {"device": "tv"}, history=items)[0]
    at_once = vector(retriever, "tv", items, [UNTIL] * len(items), UNTIL)
    np.testing.assert_allclose(now, at_once, rtol=1e-4, atol=1e-6)


def test_the_lists_of_the_test_rows_are_those_of_requests_at_their_times(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(folder / "run")
    retriever, rows = Retriever.open(run), pl.read_parquet(folder / "rows.parquet")
    stored = pl.read_parquet(next((folder / "run").rglob("*test*.parquet")))
    queries = pl.read_parquet(folder / "run" / "retrieval" / "queries.parquet")
    for place in range(0, len(queries), 7):
        own = rows.filter(pl.col("user") == queries["id"][place]).sort("time")
        *before, last = own.to_dicts()
        set_clock(monkeypatch, last["time"] - UNTIL)
        found = retriever.recommend(
            history=[row["film"] for row in before],
            history_times=[datetime.fromtimestamp(row["time"], UTC) for row in before],
            query={"device": last["device"]},
            k=5,
        )
        shown = [i for i in stored["shown"][place].to_list()[:5] if i >= 0]
        assert found["item_id"].to_list() == retriever.catalogue.ids.gather(shown).to_list()


def test_live_events_have_their_times(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever, client = Retriever.open(folder / "run"), start(folder / "bundle")
    known = retriever.queries.known(3)
    assert known is not None
    assert known.times is not None
    happened = [(60, "f01"), (3_700, "f05")]
    events = [
        event(user=3, item_id=i, time=datetime.fromtimestamp(UNTIL + t, UTC).isoformat())
        for t, i in happened
    ]
    assert client.post("/v1/events", json={"events": events}).status_code == 200
    items = [*retriever.catalogue.ids.gather(known.history).to_list(), "f01", "f05"]
    times, scores = [*known.times.tolist(), UNTIL + 60, UNTIL + 3_700], list[Any]()
    for seconds in (4_000, 900_000):
        set_clock(monkeypatch, seconds)
        body = {"user": 3, "query": {"device": "tv"}, "k": FILMS}
        answer = client.post("/v1/recommend", json=body)
        assert answer.status_code == 200, answer.text
        found = {one["item_id"]: one["score"] for one in answer.json()["items"]}
        wanted = vector(retriever, "tv", items, times, UNTIL + seconds) @ retriever.vectors.T
        places = retriever.catalogue.places_of(list(found))
        np.testing.assert_allclose(list(found.values()), wanted[0, places], rtol=1e-4, atol=1e-5)
        scores.append(found)
        given = [datetime.fromtimestamp(one, UTC).isoformat() for one in times]
        same = client.post("/v1/recommend", json=body | {"history": items, "history_times": given})
        assert [one["item_id"] for one in same.json()["items"]] == list(found)
    assert scores[0] != scores[1]
    wrong = client.post("/v1/recommend", json=body | {"history": items, "history_times": given[1:]})
    assert wrong.status_code == 422
    assert "expected one time per item of history" in wrong.text


def test_a_ranker_reads_the_times_of_the_history_that_fills_its_lists(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, client = Run.open(folder / "ranking"), start(folder / "both")
    known = Retriever.open(folder / "run").queries.known(3)
    assert known is not None
    assert known.times is not None
    live = event(user=3, item_id="f05", time=datetime.fromtimestamp(UNTIL + 60, UTC).isoformat())
    assert client.post("/v1/events", json={"events": [live]}).status_code == 200
    films, ids = [f"f{i:02d}" for i in range(FILMS)], Retriever.open(folder / "run").catalogue.ids
    had = [*ids.gather(known.history).to_list(), "f05"][-5:]
    whens, scores = [*known.times.tolist(), UNTIL + 60][-5:], list[list[float]]()
    for seconds in (120, 180):  # differences that training rows have as well
        set_clock(monkeypatch, seconds)
        body: dict[str, Any] = {"user": 3, "query": {"device": "tv"}, "items": films}
        scores.append(predictions(client.post("/v1/rank", json=body).json(), films))
        rows = pl.DataFrame(
            {"film": films, "genre": [i % 3 for i in range(FILMS)], "device": "tv"}
        ).with_columns(
            time=pl.lit(UNTIL + seconds),
            had=pl.Series([had]).new_from_index(0, FILMS),
            whens=pl.Series([whens]).new_from_index(0, FILMS),
        )
        wanted = run.predict(rows)["liked__prediction"]
        np.testing.assert_allclose(scores[-1], wanted, rtol=1e-4, atol=1e-6)
        given = body | {"query": {"device": "tv", "had": had, "whens": whens}}
        same = predictions(client.post("/v1/rank", json=given).json(), films)
        np.testing.assert_allclose(same, wanted, rtol=1e-4, atol=1e-6)
    assert scores[0] != scores[1]
    whole = rows.drop("time").with_columns(had=pl.lit(None)).to_dicts()
    listed = [row | {"had": had, "whens": whens} for row in whole]
    answer = client.post("/v1/rank", json={"rows": listed}).json()["items"]
    by_row = [one["predictions"]["liked"] for one in sorted(answer, key=lambda one: one["item_id"])]
    np.testing.assert_allclose(by_row, wanted, rtol=1e-4, atol=1e-6)
    plain = client.post("/v1/rank", json=body | {"query": {"device": "tv", "had": had}}).json()
    now = run.predict(rows.with_columns(whens=pl.concat_list([pl.lit(UNTIL + seconds)] * 5)))
    np.testing.assert_allclose(predictions(plain, films), now["liked__prediction"], rtol=1e-4)


def predictions(answer: dict[str, Any], films: list[str]) -> list[float]:
    found = {one["item_id"]: one["predictions"]["liked"] for one in answer["items"]}
    return [found[film] for film in films]


def test_a_funnel_is_evaluated_at_the_times_of_its_rows(folder: Path) -> None:
    funnel = Funnel.open(folder / "run", folder / "ranking", candidates=FILMS)
    queries = queries_of_run(funnel, ["device"], no_progress)
    rows = pl.read_parquet(folder / "rows.parquet").sort("user", "time")
    for place in range(0, len(queries), 9):
        own = rows.filter(pl.col("user") == queries.evaluation.ids[place])
        before, now = own["time"][:-1].to_list(), own["time"][-1]
        ages = queries.columns["\0ages:had"][place].to_list()
        assert ages == [now - one for one in before][-5:]
        assert queries.columns["had"][place].to_list() == own["film"][:-1].to_list()[-5:]


def test_a_retriever_without_times_cannot_fill_a_history_that_needs_them(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    users = tmp_path / "run" / "retrieval" / "users.parquet"
    pl.read_parquet(users).drop(SEEN_TIMES).write_parquet(users)
    with pytest.raises(RunError, match="keeps no times of its users' events, but column 'had'"):
        _ = Funnel.open(tmp_path / "run", folder / "ranking").rows
