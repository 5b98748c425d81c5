"""Histories that events fill, compared with the item: the same scores offline and in a server.

One of them reads the times of its events.
"""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from crosstower.fitting.fit import fit
from crosstower.recipe.events import EventLog
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval import history_ages
from crosstower.serving.bundle import building, make_bundle
from crosstower.serving.bundle.forms import EAGER
from crosstower.serving.state.event_export import export_events
from crosstower.training.run import Run

from ...fixtures.live_films import FILMS, UNTIL, recipes
from ..conftest import Start, event

POOLINGS = ("target", "bst", "hstu")
KEYS = {"user": "user", "film": "item_id"}
USERS = (3, 4, "new")


def at(seconds: float) -> datetime:
    """Return a time after the last training row."""
    return datetime.fromtimestamp(UNTIL + seconds, UTC)


def trained(folder: Path) -> tuple[Run, Run]:
    """Return a retriever, and a ranker that reads one history in four ways."""
    retrieval, ranking = recipes(folder)
    rows = pl.read_parquet(folder / "rows.parquet")
    rows.drop("had").write_parquet(folder / "ranked.parquet")
    kind = pl.when(pl.col("genre") == 0).then(pl.lit("purchase")).otherwise(pl.lit("click"))
    log = rows.select("user", "time", type=kind, item_id="film")
    log.write_parquet(folder / "log.parquet")
    plain = yaml.safe_load(ranking.to_yaml())
    events = {"path": str(folder / "log.parquet"), "columns": KEYS}
    plain["data"] |= {"path": str(folder / "ranked.parquet"), "events": events}
    history = {"kind": "sequence", "table": "film", "source": "had", "max_len": 6, "by": "user",
               "event": ["click", "purchase"], "target": "film"}  # fmt: skip
    columns = {name: history | {"pooling": name} for name in POOLINGS}
    columns["timed"] = history | {"pooling": "hstu", "times": True}
    plain["training"]["epochs"] = 1
    del plain["schema"]["columns"]["had"]
    plain["schema"]["columns"] |= columns
    models = (retrieval, Recipe.model_validate(plain))
    first, second = (fit(one, out=folder / one.name, quiet=True) for one in models)
    return first, second


def offline(run: Run, state: Path, rows: pl.DataFrame, export: Path) -> pl.DataFrame:
    """Return predictions of a batch, with the events of a server as a second log."""
    export_events(state, export, force=True)
    logs = (*run.recipe.data.events, EventLog(path=str(export), columns=KEYS))
    data = run.recipe.data.model_copy(update={"events": logs})
    with_events = run.recipe.model_copy(update={"data": data})
    return Run(run.folder, with_events, run.info).predict(rows)


@pytest.mark.filterwarnings("ignore:.*of these rows trained the model")
def test_scores_are_those_of_a_batch_at_the_same_instants(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events of unknown items are unseen values in both."""
    monkeypatch.setattr(building, "write_fastest", lambda *_, **__: EAGER)  # an export takes long
    retrieval, ranking = trained(tmp_path)
    make_bundle([retrieval, ranking], tmp_path / "bundle", candidates=FILMS)
    client, random = start(tmp_path / "bundle"), np.random.default_rng(0)
    films, served = [f"f{i:02d}" for i in range(FILMS)], list[dict[str, Any]]()
    for turn in range(3):
        clock = SimpleNamespace(time=lambda seconds=100 * turn: UNTIL + seconds)
        monkeypatch.setattr(history_ages, "time", clock)
        for user in USERS:
            query = {"user": user, "query": {"device": "tv"}, "items": films}
            answer = client.post("/v1/rank", json=query)
            assert answer.status_code == 200, answer.text
            found = {item["item_id"]: item["predictions"] for item in answer.json()["items"]}
            served += [
                {"user": str(user), "film": film, "device": "tv", "time": at(100 * turn),
                 "genre": i % 3, "turn": turn, "score": found[film]["liked"]}
                for i, film in enumerate(films)
            ]  # fmt: skip
        happened = [
            event(
                type=str(random.choice(["click", "purchase", "impression"])),
                user=USERS[n % 3],
                item_id="no film" if n % 4 == 3 else str(random.choice(films)),
                time=at(100 * turn + 10 + n).isoformat(),
            )
            for n in range(12)
        ]
        answer = client.post("/v1/events", json={"events": happened})
        assert answer.status_code == 200, answer.text
    rows = pl.DataFrame(served)
    expected = offline(
        ranking, tmp_path / "state", rows.drop("turn", "score"), tmp_path / "e.parquet"
    )
    np.testing.assert_allclose(rows["score"], expected["liked__prediction"], rtol=1e-5, atol=1e-6)
    moved = rows.group_by("user", "film").agg(pl.col("score").n_unique() > 1)
    assert moved["score"].mean() > 0.9  # events matter
