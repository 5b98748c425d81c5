"""Counts in rows: as of the time of each row, by brute force over the raw log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.counters.counted_source import (
    CountedSource,
    counted_source_of,
    counted_training_source,
)
from crosstower.data.sources.source import require_columns
from crosstower.errors import CrosstowerWarning, DataError, RecipeError
from crosstower.recipe.recipe import Recipe

HOUR = 3_600
COLUMNS = {
    "clicks": {"kind": "counter", "event": "click", "by": "item_id", "window": "6h"},
    "ctr": {
        "kind": "counter",
        "event": ["click", "buy"],
        "per": "impression",
        "by": "item_id",
        "window": "12h",
        "delay": "10m",
    },
    "taste": {"kind": "counter", "event": "click", "by": ["user", "topic"], "window": "1d"},
}


def rows_of(count: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "time": rng.integers(0, 60 * HOUR, count) // 600 * 600 + 1_700_000_000,
            "user": rng.integers(0, 6, count),
            "item_id": rng.integers(0, 9, count),
            "topic": rng.choice(["a", "b"], count),
            "click": rng.integers(0, 2, count),
        }
    )


def recipe_of(events: Any, columns: Any = None, **data: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "data": {"events": events, "split": {"kind": "time", "column": "time"}, **data},
            "schema": {"columns": columns or COLUMNS, "tasks": {"click": "binary"}},
        }
    )


def brute(
    row: dict[str, Any], log: list[dict[str, Any]], column: dict[str, Any], types: set[str]
) -> int:
    """Count by the sentence of the documentation, event by event, in whole nanoseconds."""
    units = {"m": 60, "h": HOUR, "d": 24 * HOUR}
    window, delay = (
        int(text[:-1]) * units[text[-1]] * 10**9
        for text in (column["window"], column.get("delay", "0m"))
    )
    width, now = window // 64, row["time"] * 10**9
    first = (now - window) // width * width
    by = [column["by"]] if isinstance(column["by"], str) else column["by"]
    return sum(
        event["type"] in types
        and all(event[key] == row[key] for key in by)
        and first <= event["time"] * 10**9 < now - delay
        for event in log
    )


def types_of(given: str | list[str]) -> set[str]:
    return {given} if isinstance(given, str) else set(given)


def check(frame: pl.DataFrame, log: list[dict[str, Any]], recipe: Recipe) -> None:
    for name, column in COLUMNS.items():
        counts = recipe.schema_.columns[name].counts()
        wanted = [types_of(column[key]) for key in ("event", "per") if key in column]
        assert len(counts) == len(wanted)
        for count, types in zip(counts, wanted, strict=True):
            found = frame[count.column].to_list()
            rows = frame.iter_rows(named=True)
            assert found == [brute(row, log, column, types) for row in rows]
            assert len(set(found)) > 3


def whole(source: Any) -> pl.DataFrame:
    return pl.concat([chunk.frame for chunk in source.chunks(source.columns())])


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_a_log_equal_brute_force(seed: int, tmp_path: Path) -> None:
    rows, log = rows_of(300, seed), rows_of(500, seed + 100).drop("click")
    kinds = np.random.default_rng(seed).choice(["click", "buy", "impression", "other"], 500)
    log = log.with_columns(pl.Series("type", kinds))
    log.write_parquet(tmp_path / "log.parquet")
    recipe = recipe_of(str(tmp_path / "log.parquet"))
    frame = whole(counted_training_source(recipe, rows))
    check(frame, log.to_dicts(), recipe)
    assert whole(counted_source_of(recipe, rows)).equals(frame)


def test_rows_as_events_are_impressions_and_labels_before_their_row() -> None:
    rows = rows_of(400, 7).with_columns(buy=pl.lit(0))
    recipe = recipe_of("rows")
    tasks = recipe.schema_.model_copy(
        update={"tasks": {**recipe.schema_.tasks, "buy": recipe.schema_.tasks["click"]}}
    )
    recipe = recipe.model_copy(update={"schema_": tasks})
    log = [row | {"type": "impression"} for row in rows.to_dicts()]
    log += [row | {"type": "click"} for row in rows.filter(pl.col("click") == 1).to_dicts()]
    check(whole(counted_training_source(recipe, rows)), log, recipe)


def test_separate_files_are_one_log_of_rows() -> None:
    columns, rows = {"clicks": COLUMNS["clicks"]}, rows_of(90, 2)
    parts = {"train": rows[:60], "valid": rows[60:70], "test": rows[70:]}
    recipe = recipe_of("rows", columns, split={"kind": "given"}, time="time")
    found = whole(counted_training_source(recipe, parts))
    assert found.equals(whole(counted_training_source(recipe_of("rows", columns), rows)))


def test_rows_are_read_without_events_where_no_count_is_asked_for() -> None:
    source = counted_training_source(recipe_of("nowhere.parquet"), rows_of(5, 0))
    assert isinstance(source, CountedSource)
    assert next(source.chunks(["user"])).frame.columns == ["user"]


def test_counts_that_rows_have_already_are_kept() -> None:
    recipe = recipe_of("nowhere.parquet")
    names = [count.column for count in recipe.schema_.counts()]
    rows = rows_of(5, 0).with_columns(pl.lit(3).alias(name) for name in names)
    assert whole(counted_training_source(recipe, rows)).equals(rows)


@pytest.fixture
def log_file(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    def write(columns: dict[str, Any]) -> str:
        path = tmp_path / "log.parquet"
        pl.DataFrame(columns).write_parquet(path)
        return str(path)

    return write


class TestFaults:
    def test_a_recipe_without_events_or_time(self) -> None:
        rows = rows_of(5, 0)
        with pytest.raises(RecipeError, match=r"data\.events: missing, but column 'clicks'"):
            counted_training_source(recipe_of([]), rows)
        recipe = recipe_of("rows", split={"kind": "random"})
        with pytest.raises(RecipeError, match=r"data\.time: missing, but column 'clicks'"):
            counted_training_source(recipe, rows)

    def test_a_time_column_of_its_own(self) -> None:
        columns = {"clicks": COLUMNS["clicks"]}
        recipe = recipe_of("rows", columns, split={"kind": "random"}, time="time")
        by_split = recipe_of("rows", columns)
        rows = rows_of(50, 0)
        found, wanted = (counted_training_source(r, rows) for r in (recipe, by_split))
        assert whole(found).equals(whole(wanted))

    def test_rows_without_a_key_column(self) -> None:
        source = counted_training_source(recipe_of("rows"), rows_of(5, 0).drop("topic"))
        with pytest.raises(DataError) as error:
            require_columns(source, source.history.recipe.schema_.sources())
        assert str(error.value) == (
            "data frame: no column 'topic' (columns: time, user, item_id, click)"
        )

    def test_numbers_that_only_order_rows(self) -> None:
        rows = rows_of(5, 0).with_columns(pl.int_range(5).alias("time"))
        source = counted_training_source(recipe_of("rows"), rows)
        with pytest.raises(DataError, match="only order its rows, but counters and histories need"):
            whole(source)

    def test_rows_without_a_key_or_a_time(self) -> None:
        recipe = recipe_of("rows", {"clicks": COLUMNS["clicks"]}, on_bad_rows="skip")
        rows = rows_of(50, 0).with_columns(pl.col("time").cast(pl.Float64))
        rows[3, "time"], rows[3, "click"] = None, 1
        rows[4, "item_id"] = None
        (count,) = recipe.schema_.counts()
        with pytest.warns(match="events left out, as they have no time: 1"):
            found = whole(counted_training_source(recipe, rows))[count.column]
        assert found[3] is None
        assert found[4] == 0

    def test_rows_of_a_data_frame_that_is_gone(self) -> None:
        source = counted_source_of(recipe_of("rows", {"clicks": COLUMNS["clicks"]}), rows_of(5, 0))
        with pytest.raises(DataError, match="a data frame that the run does not keep"):
            whole(source)


HISTORY = {"kind": "sequence", "table": "item_id", "event": "click", "by": "user", "max_len": 4}


def history_recipe(**history: Any) -> Recipe:
    return recipe_of("rows", {"item_id": "categorical", "seen": HISTORY | history})


def listed(recipe: Recipe, rows: pl.DataFrame) -> list[list[str]]:
    source = counted_training_source(recipe, rows)
    chunks = source.chunks(["item_id", "seen"])
    return pl.concat([chunk.frame for chunk in chunks])["seen"].to_list()


def test_a_history_lists_the_events_before_each_row() -> None:
    rows = rows_of(200, 5)
    found = listed(history_recipe(), rows)
    log = [row for row in rows.sort("time", maintain_order=True).to_dicts() if row["click"] == 1]
    for row, list_ in zip(rows.to_dicts(), found, strict=True):
        earlier = [e for e in log if e["user"] == row["user"] and e["time"] < row["time"]]
        assert list_ == [str(event["item_id"]) for event in earlier[-4:]]


def test_later_rows_do_not_change_the_history_of_earlier_ones() -> None:
    rows = rows_of(200, 6)
    middle = pl.Series(rows["time"]).median()
    other = rows.with_columns(
        item_id=pl.when(pl.col("time") >= middle).then(100).otherwise("item_id"),
        click=pl.when(pl.col("time") >= middle).then(1).otherwise("click"),
    )
    before = (rows["time"] <= middle).to_numpy()
    found, changed = (np.array(listed(history_recipe(), r), dtype=object) for r in (rows, other))
    assert (found[before] == changed[before]).all()
    assert (found[~before] != changed[~before]).any()


def test_a_history_that_the_rows_have_stays() -> None:
    rows = rows_of(10, 7).with_columns(seen=pl.lit([3, 4]))
    assert listed(history_recipe(), rows) == [[3, 4]] * 10


def test_rows_without_a_user_or_a_time_have_an_empty_history() -> None:
    rows = rows_of(60, 8).with_columns(
        user=pl.when(pl.int_range(60) == 58).then(None).otherwise("user"),
        time=pl.when(pl.int_range(60) == 59).then(None).otherwise("time"),
        click=pl.when(pl.int_range(60) == 59).then(1).otherwise("click"),
    )
    recipe = recipe_of("rows", {"item_id": "categorical", "seen": HISTORY}, on_bad_rows="skip")
    with pytest.warns(CrosstowerWarning, match="events left out, as they have no time: 1"):
        found = listed(recipe, rows)
    assert found[58:] == [[], []]
    assert any(found[:58])


HAD = {"kind": "sequence", "table": "item_id", "pooling": "hstu", "max_len": 4}


def timed(frame: pl.DataFrame, events: Any = (), **had: Any) -> list[dict[str, Any]]:
    columns = {"item_id": "categorical", "had": HAD | had}
    source = counted_training_source(recipe_of(events, columns), frame)
    ages = "\0ages:had"
    return pl.concat([c.frame for c in source.chunks(["time", "had", ages])]).to_dicts()


def test_the_ages_of_listed_events_go_with_their_values() -> None:
    frame = rows_of(300, 1)
    found = timed(frame, "rows", event="click", by="user", times=True)
    log = sorted(frame.with_row_index().to_dicts(), key=lambda row: (row["time"], row["index"]))
    for row, got in zip(frame.to_dicts(), found, strict=True):
        earlier = [
            (str(one["item_id"]), row["time"] - one["time"])
            for one in log
            if one["click"] and one["user"] == row["user"] and one["time"] < row["time"]
        ][-4:]
        assert list(zip(got["had"], got["\0ages:had"], strict=True)) == earlier


def test_the_ages_of_lists_in_the_rows_are_made_of_their_times() -> None:
    frame = rows_of(50, 2).with_columns(
        had=pl.concat_list("item_id", "item_id"),
        whens=pl.concat_list(pl.col("time") - 90, pl.col("time") - 30),
    )
    found = timed(frame, times="whens")
    assert all(row["\0ages:had"] == [90, 30] for row in found)
    cleaned = Cleaner(recipe_of((), {"item_id": "categorical", "had": HAD | {"times": "whens"}})
                      .schema_, with_labels=False)  # fmt: skip
    late = frame.with_columns(whens=pl.concat_list(pl.col("time") - 90, pl.col("time") + 1))
    source = counted_source_of(
        recipe_of((), {"item_id": "categorical", "had": HAD | {"times": "whens"}}), late
    )
    with pytest.raises(DataError, match=r"column 'had': expected the ages .* none after the"):
        cleaned.clean(next(iter(source.chunks(cleaned.sources()))))
    skipping = cleaned.fresh_copy(on_bad_rows="skip")
    chunk = next(iter(source.chunks(skipping.sources())))
    assert skipping.clean(chunk).height == 0
    assert skipping.skipped == {"had": 50}


def test_a_history_in_the_rows_has_no_times_of_a_log() -> None:
    frame = rows_of(9, 1).with_columns(had=pl.concat_list("item_id"))
    with pytest.raises(DataError, match="has the history 'had', but not the times of its events"):
        timed(frame, "rows", event="click", by="user", times=True)
