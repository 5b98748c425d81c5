"""Two versions, made one after the other; tests read them only."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.retrieval.run_files import FOLDER, SEEN_ITEMS, USER
from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.division import Cuts, trained_until_of
from crosstower.serving.retraining.retrain import retrain
from crosstower.serving.retraining.version_facts import read_facts
from crosstower.serving.state.state import State
from crosstower.training.run import Run

from ...fixtures.live_films import UNTIL, LiveFilms, rows
from ...fixtures.made_once import made_once
from .films_log import START, filled_state, film_events, films_plan, without_exports

pytestmark = pytest.mark.slow

FIRST, SECOND = 900, 500
"""Impressions before the first and the second retraining."""


@pytest.fixture(scope="session")
def versions(live_films: LiveFilms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        plan = films_plan(live_films.retrieval, live_films.ranking)
        filled_state(folder / "state", film_events(0, FIRST))
        base, where = live_films.bundle.folder, folder / "versions"
        with pytest.MonkeyPatch.context() as patch:
            without_exports(patch)
            results = [retrain(base, folder / "state", plan=plan, versions=where)]
            with State.open(folder / "state") as state:
                state.add_events(film_events(FIRST, SECOND, seed=1))
            results.append(retrain(base, folder / "state", plan=plan, versions=where))
        (folder / "results.json").write_text(json.dumps([r.plain() for r in results]))

    return made_once(tmp_path_factory, "retrained-films", make)


def seconds(time: Any) -> float:
    return (time - START).total_seconds()


def test_both_versions_are_published(versions: Path) -> None:
    first, second = json.loads((versions / "results.json").read_text())
    assert (first["outcome"], first["number"], first["rows"]) == ("published", 1, FIRST)
    assert (second["outcome"], second["number"]) == ("published", 2)
    # Rows that decided or tested are trained on in the next version.
    assert second["rows"] == SECOND + FIRST // 5
    with State.open(versions / "state") as state:
        assert state.bundle()[1] == versions / "versions" / "0002" / "bundle"  # type: ignore[index]


def test_each_training_goes_on_from_the_live_version(versions: Path, live_films: LiveFilms) -> None:
    place = versions / "versions"
    for name in ("retrieval", "ranking"):
        first, second = (Run.open(place / v / name) for v in ("0001", "0002"))
        assert first.info.warm_start == str((live_films.bundle.folder.parent / name).resolve())
        assert second.info.warm_start == str((place / "0001" / name).resolve())


def test_rows_are_divided_by_time(versions: Path) -> None:
    for number, until in (("0001", 0), ("0002", None)):
        version = versions / "versions" / number
        start = seconds(read_facts(versions / "versions" / "0001").trained_until["ranking"])
        ranking = pl.read_parquet(version / "ranking.parquet")
        times = {
            part: [seconds(t) for t in ranking.filter(pl.col("part") == part)["time"]]
            for part in ("train", "valid", "test")
        }
        assert max(times["train"]) < min(times["valid"]) <= max(times["valid"]) < min(times["test"])
        older = [t for t in times["train"] if t < (start if until is None else 1)]
        count = rows().height + (FIRST * 4 // 5 if until is None else 0)
        assert len(older) / count == pytest.approx(0.2, abs=0.05)  # the replayed share


def test_histories_hold_each_positive_once(versions: Path) -> None:
    """The histories of the new bundle are those of the base rows, then the clicks up to `until`."""
    bundle = Bundle.open(versions / "versions" / "0002" / "bundle")
    retriever = bundle.retriever()
    users, ids = retriever.users, retriever.catalogue.ids
    base = rows().filter(pl.col("film") != "f05").sort("user", "time", maintain_order=True)
    clicks = [e for e in (*film_events(0, FIRST), *film_events(FIRST, SECOND, seed=1))
              if e.type == "click" and e.item_id != "f05"]  # fmt: skip
    until = bundle.retrieval.info.facts.until  # type: ignore[union-attr]
    assert until == max(e.time for e in clicks)
    for user, history in users.select(USER, SEEN_ITEMS).iter_rows():
        mine = base.filter(pl.col("user") == user)["film"].to_list()
        mine += [e.item_id for e in clicks if e.user == user]
        assert ids.gather(history).to_list() == mine


def test_the_ranker_reads_what_the_user_had_at_the_time(versions: Path) -> None:
    ranking = pl.read_parquet(versions / "versions" / "0001" / "ranking.parquet")
    new = ranking.filter(pl.col("time") > START).sort("time")
    base = rows().filter(pl.col("film") != "f05").sort("time", maintain_order=True)
    log = [(r["user"], START + timedelta(seconds=r["time"] - UNTIL), r["film"])
           for r in base.iter_rows(named=True)]  # fmt: skip
    log += [(e.user, e.time, e.item_id) for e in film_events(0, FIRST)
            if e.type == "click" and e.item_id != "f05"]  # fmt: skip
    for row in new.sample(60, seed=0).iter_rows(named=True):
        mine = [item for user, time, item in log if user == row["user"] and time < row["time"]]
        assert row["had"] == mine[-5:]


def test_the_catalogue_has_the_changes_of_items(versions: Path) -> None:
    for number in ("0001", "0002"):
        items = Bundle.open(versions / "versions" / number / "bundle").retriever().items
        assert "new" in items["film"]
        assert "f05" not in items["film"]
        known = pl.read_parquet(versions / "versions" / number / "known_items.parquet")
        assert {"new", "f05"} <= set(known["film"])
        assert read_facts(versions / "versions" / number).items == 2
        ranking = pl.read_parquet(versions / "versions" / number / "ranking.parquet")
        gone = ranking.filter((pl.col("film") == "f05") & (pl.col("time") > START))
        assert gone.height
        assert gone["genre"].unique().to_list() == [2]


def test_the_bundle_keeps_what_was_chosen_for_the_live_one(
    versions: Path, live_films: LiveFilms
) -> None:
    bundle = Bundle.open(versions / "versions" / "0002" / "bundle")
    assert bundle.manifest.candidates == live_films.bundle.manifest.candidates
    assert (bundle.retrieval.folder / FOLDER / "segments.parquet").is_file()  # type: ignore[union-attr]
    segments = pl.read_parquet(bundle.retrieval.folder / FOLDER / "segments.parquet")  # type: ignore[union-attr]
    assert set(segments["segment"]) == {"FR", "DE"}


def test_a_refit_has_trained_on_the_validation_rows(versions: Path) -> None:
    run = Run.open(versions / "versions" / "0001" / "ranking")
    cuts = Cuts(START, START + timedelta(hours=1), START + timedelta(hours=2))
    assert trained_until_of(run, cuts) == cuts.valid_from
    training = run.recipe.training.model_copy(update={"refit": True})
    refit = replace(run, recipe=run.recipe.model_copy(update={"training": training}))
    assert trained_until_of(refit, cuts) == cuts.test_from
