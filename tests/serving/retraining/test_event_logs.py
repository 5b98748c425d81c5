"""A ranker with counters, retrained: what it counts is checked event by event."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
import yaml

from crosstower.data.counters.count_files import load_counts
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle import make_bundle
from crosstower.serving.retraining.event_logs import event_logs, logs_end, with_counts
from crosstower.serving.retraining.retrain import retrain
from crosstower.serving.retraining.stage import Stage, stages_of
from crosstower.training.run import Run

from ...fixtures.counted_films import CountedFilms
from ...fixtures.live_films import LiveFilms, rows
from ...fixtures.made_once import made_once
from .films_log import START, filled_state, film_events, films_plan
from .test_stage import ranking, runs_of

HOURS = 6
COUNTERS = {
    "shown": {"kind": "counter", "event": "impression", "by": ["film"], "window": f"{HOURS}h"},
    "genre_clicks": {
        "kind": "counter",
        "event": "liked",
        "by": ["user", "genre"],
        "window": f"{HOURS}h",
    },
}


@pytest.fixture(scope="session")
def counting(live_films: LiveFilms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with counters, and its first version."""

    def make(folder: Path) -> None:
        plain = yaml.safe_load(live_films.ranking.recipe.to_yaml())
        rows().drop("had").write_parquet(folder / "rows.parquet")  # events fill the history
        path = str(folder / "rows.parquet")
        plain["schema"]["columns"] |= COUNTERS
        timed = {"pooling": "hstu", "times": True}
        plain["schema"]["columns"]["had"] |= {"event": "liked", "by": "user"} | timed
        plain["data"] |= {"path": path, "events": "rows", "time": "time"}
        ranking = fit(Recipe.model_validate(plain), out=folder / "ranking", quiet=True)
        bundle = make_bundle([live_films.retrieval, ranking], folder / "bundle", candidates=20)
        labels = {"window": "1m", "positives": ["liked"]}
        plan = films_plan(live_films.retrieval, ranking, labels=labels)
        state = filled_state(folder / "state", film_events(0, 300, kind="liked"))
        found = retrain(bundle.folder, state, plan=plan)
        assert found.outcome == "published", found

    return made_once(tmp_path_factory, "counting-films", make)


def log(version: Path) -> list[tuple[str, datetime, str, int, int]]:
    """All events as (type, time, film, user, genre): base rows, then those of the server."""
    base = rows()
    times = pl.from_epoch(base["time"]).dt.replace_time_zone("UTC")
    found = []
    for kind, kept in (("impression", base["time"] == base["time"]), ("liked", base["liked"] == 1)):
        part = base.with_columns(times.alias("time")).filter(kept)
        found += [(kind, *row) for row in part.select("time", "film", "user", "genre").rows()]
    for e in film_events(0, 300, kind="liked"):
        found.append((e.type, e.time, e.item_id, e.user, int(str(e.item_id)[1:]) % 3))  # type: ignore[arg-type]
    return found  # type: ignore[return-value]


def test_rows_count_the_events_before_them(counting: Path) -> None:
    version = counting / "bundle.versions" / "0001"
    recipe = Run.open(version / "ranking").recipe
    trained = pl.read_parquet(version / "ranking.parquet").sample(80, seed=1)
    found = with_counts(trained, recipe)
    shown, clicks = (count.column for count in recipe.schema_.counts())
    events, window = log(version), timedelta(hours=HOURS)
    width = window / 64
    epoch = datetime(1970, 1, 1, tzinfo=START.tzinfo)
    for row in found.iter_rows(named=True):
        start = epoch + ((row["time"] - window - epoch) // width) * width
        inside = [e for e in events if start <= e[1] < row["time"]]
        assert row[shown] == sum(e[0] == "impression" and e[2] == row["film"] for e in inside)
        mine = [e for e in inside if e[0] == "liked"]
        assert row[clicks] == sum(e[3:] == (row["user"], row["genre"]) for e in mine)


def test_rows_have_the_history_of_events_before_them(counting: Path) -> None:
    version = counting / "bundle.versions" / "0001"
    recipe = Run.open(version / "ranking").recipe
    trained = pl.read_parquet(version / "ranking.parquet")
    newest = trained.filter(pl.col("time") > START).sample(40, seed=1)
    found = with_counts(newest, recipe)
    events = sorted((e for e in log(version) if e[0] == "liked"), key=lambda e: e[1])
    for row in found.iter_rows(named=True):
        mine = [e for e in events if e[3] == row["user"] and e[1] < row["time"]][-5:]
        assert row["had"] == [e[2] for e in mine]
        assert row["\0ages:had"] == [(row["time"] - e[1]) // timedelta(seconds=1) for e in mine]
    assert any(row["had"] for row in found.iter_rows(named=True))


def test_rows_with_lists_of_times_have_ages() -> None:
    had = {"kind": "sequence", "table": "film", "pooling": "hstu", "times": "whens"}
    recipe = Recipe.model_validate(
        {
            "schema": {
                "columns": {"film": "categorical", "had": had},
                "tasks": {"liked": "binary"},
            },
            "data": {"time": "time"},
        }
    )
    times = [START + timedelta(seconds=n) for n in (0, 60)]
    given = {"film": ["f01"], "had": [["f02", "f03"]], "whens": [times], "liked": [1]}
    new = pl.DataFrame(given | {"time": [START + timedelta(seconds=100)]})
    assert with_counts(new, recipe)["\0ages:had"].to_list() == [[100, 40]]


def test_the_bundle_goes_on_from_the_last_event(counting: Path) -> None:
    found = load_counts(counting / "bundle.versions" / "0001" / "bundle" / "ranking" / "counters")
    assert found is not None
    last = max(e.time for e in film_events(0, 300, kind="liked"))
    assert found.until == int(last.timestamp()) * 10**9


def test_the_logs_of_the_recipe_stay_and_the_servers_follows(
    live_films: LiveFilms, counting: Path, tmp_path: Path
) -> None:
    run = Run.open(counting / "ranking")
    stage = Stage("ranking", run.recipe, run, "time")
    assert stage.event_keys == ("film", "user", "genre")
    base, events = pl.DataFrame({"film": ["a"]}), pl.DataFrame({"film": ["b"]})
    first, second = event_logs(stage, tmp_path, base, events)
    assert first.rows
    assert pl.read_parquet(str(first.path)).equals(base)
    assert pl.read_parquet(str(second.path)).equals(events)
    assert event_logs(stage, tmp_path, base, events.clear()) == (first,)
    plain = stages_of(live_films.bundle, None, runs_of(live_films))[1]
    assert event_logs(plain, tmp_path, base, events) == ()


def test_the_end_of_the_logs_is_that_of_their_last_event(tmp_path: Path) -> None:
    path, now = tmp_path / "log.csv", START + timedelta(days=1)
    zone = timezone(timedelta(hours=5, minutes=30))
    last, future = (t.astimezone(zone).isoformat() for t in (START, now + timedelta(seconds=1)))
    path.write_text(f"type,at\nscroll,{last}\nclick,{future}\n")
    later = START + timedelta(hours=2)
    base = pl.DataFrame({"time": [START, later]})
    log = {"path": str(path), "time": "at"}
    plain = yaml.safe_load(ranking().to_yaml())
    plain["schema"]["columns"]["clicks"] = COUNTERS["shown"] | {"by": "u"}
    ends = list[datetime | None]()
    for logs in ("rows", log, ["rows", log]):
        plain["data"] = {"events": logs, "time": "time"}
        stage = Stage("ranking", Recipe.model_validate(plain), None, "time")  # type: ignore[arg-type]
        ends.append(logs_end(stage, base, now))
    assert ends == [later, START, later]
    without = Stage("ranking", ranking(), None, "time")  # type: ignore[arg-type]
    assert logs_end(without, base, now) is None


def test_rows_without_counters_stay_as_they_are(live_films: LiveFilms) -> None:
    frame = pl.DataFrame({"film": ["a"]})
    assert with_counts(frame, live_films.ranking.recipe) is frame


def test_counts_by_a_column_of_a_joined_table_are_found(counted_films: CountedFilms) -> None:
    recipe = counted_films.ranking.recipe
    rows = pl.read_parquet(str(recipe.data.path))
    found = with_counts(rows, recipe)
    counts = [count.column for count in recipe.schema_.counts()]
    assert any("genre" in count.by for count in recipe.schema_.counts())
    assert found.columns == [*rows.columns, *counts]
    assert found.drop(counts).equals(rows)
    assert all(found[name].max() > 0 for name in counts)  # type: ignore[operator]
