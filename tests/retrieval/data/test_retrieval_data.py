"""From rows to pairs and queries, checked by hand on nine rows."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.retrieval_data import RetrievalData, prepare_retrieval

ROWS = pl.DataFrame(
    {
        "user": ["a", "a", "a", "a", "b", "b", "b", "c", "c"],
        "item": [10, 20, 10, 30, 20, 30, 40, 50, 10],
        "time": [1, 2, 3, 4, 1, 2, 3, 9, 8],
        "split": ["train", "train", "train", "test", "train", "valid", "test", "test", "valid"],
        "device": ["tv", "phone", "tv", "tv", "tv", "tv", "phone", "tv", "tv"],
        "stars": [5, 1, 5, 5, 4, 4, 4, 5, 5],
    }
)
ITEMS = pl.DataFrame(
    {"item": [50, 10, 20, 30, 40, 60], "genre": ["x", "y", "x", "y", "x", None], "price": [1.0] * 6}
)


def recipe(extra: dict | None = None, item: tuple = ("item", "genre"), **retrieval: Any) -> Recipe:
    section = {"item": "item", "user": "user", "time": "time", "history": "had", **retrieval}
    section = {name: value for name, value in section.items() if value is not None}
    columns = {
        "user": "categorical",
        "device": "categorical",
        "had": {"kind": "sequence", "table": "item", "max_len": 2},
        "item": "categorical",
        "genre": "categorical",
    }
    if section.get("history") is None:
        del columns["had"]
    return Recipe.model_validate(
        {
            "data": {"split": {"kind": "column", "column": "split"}},
            "schema": {"columns": columns | (extra or {})},
            "model": {"item": list(item)},
            "retrieval": section,
        }
    )


def prepared(tmp_path: Path, rows: pl.DataFrame = ROWS, **retrieval: Any) -> RetrievalData:
    ITEMS.write_parquet(tmp_path / "items.parquet")
    section = {"items": str(tmp_path / "items.parquet"), **retrieval}
    return prepare_retrieval(recipe(**section), open_source(rows))


def ids(data: RetrievalData, places: Any) -> list[int]:
    return data.items.ids.gather(np.asarray(places)).to_list()


def queries(data: RetrievalData, split: str) -> dict[str, tuple[list[int], list[int]]]:
    """{user: (relevant, seen)}."""
    q = data.evaluation[split]
    return {
        name: tuple(sorted(ids(data, pairs[1][pairs[0] == i])) for pairs in (q.relevant, q.seen))
        for i, name in enumerate(q.ids)
    }  # type: ignore[return-value]


def test_only_positives_are_read_and_split(tmp_path: Path) -> None:
    data = prepared(tmp_path, where="stars >= 4")
    assert ids(data, data.train.items) == [10, 10, 20]
    assert data.facts.rows == {"train": 3, "valid": 2, "test": 3}


def test_without_users_every_row_asks_for_itself(tmp_path: Path) -> None:
    data = prepared(tmp_path, user=None, time=None, history=None)
    assert len(data.evaluation["test"]) == 3
    assert data.evaluation["test"].seen[0].tolist() == []
    assert len(data.train.items) == 4


def test_facts_count_what_is_cold_and_what_repeats(tmp_path: Path) -> None:
    notes = prepared(tmp_path).facts.notes
    assert notes[0] == "6 items, 4 of them without a training positive"
    assert notes[1].startswith("1 training rows repeat a pair")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"user": None}, "user is missing: 1 of 9 rows"),
        ({"split": "train"}, "the valid split has no relevant items"),
    ],
)
def test_rows_that_cannot_be_learnt_from(tmp_path: Path, change: dict, words: str) -> None:
    if "user" in change:
        rows = ROWS.with_columns(
            pl.when(pl.col("time") == 9).then(None).otherwise("user").alias("user")
        )
    else:
        rows = ROWS.with_columns(split=pl.lit("train"))
    with pytest.raises(DataError, match=words):
        prepared(tmp_path, rows)


def test_no_row_is_a_positive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row is a positive; change retrieval\.where"):
        prepared(tmp_path, where="stars > 5")


def _written(frame: pl.DataFrame, folder: Path, form: str) -> Any:
    """Return rows as a user may have them; their times are numbers, text, or typed."""
    path = folder / f"rows-{form}.csv"
    if form == "csv":
        frame.write_csv(path)
    elif form == "csv of decimals":
        frame.with_columns(pl.col("time") + 0.5).write_csv(path)
    elif form == "csv of dates":
        frame.with_columns(pl.date(2024, 1, 1) + pl.duration(days="time")).write_csv(path)
    else:
        return frame
    return path


@pytest.mark.parametrize("form", ["csv", "csv of decimals", "csv of dates", "frame"])
def test_a_history_is_in_order_of_time_whatever_the_source(tmp_path: Path, form: str) -> None:
    steps = [s for s in range(1, 13) for _ in "ab"]
    rows = pl.DataFrame({"user": ["a", "b"] * 12, "item": steps, "time": steps})
    rows = rows.with_columns(device=pl.lit("tv"), genre=pl.lit("x"))
    rows = rows.sample(fraction=1, shuffle=True, seed=3)
    split = "data.split={kind: leave_last_out, group: user, time: time}"
    leaving = parse_recipe(recipe().to_yaml(), [split])
    data = prepare_retrieval(leaving, open_source(_written(rows, tmp_path, form)))
    assert [str(i) for i in ids(data, data.train.items)] == [str(i) for i in range(1, 11)] * 2
    for name, last in (("valid", 11), ("test", 12)):
        found = [relevant for relevant, _ in queries(data, name).values()]
        assert [[str(i) for i in relevant] for relevant in found] == [[str(last)]] * 2
    assert "time read as " in data.facts.split


def test_a_history_follows_the_time_of_the_split_if_no_other_is_named(tmp_path: Path) -> None:
    split = "data.split={kind: leave_last_out, group: user, time: time}"
    rows = ROWS.reverse().with_columns(genre=pl.lit("x"))
    both = [recipe(time=time).to_yaml() for time in ("time", None)]
    named, unnamed = (
        prepare_retrieval(parse_recipe(text, [split]), open_source(rows)) for text in both
    )
    assert ids(unnamed, unnamed.train.items) == ids(named, named.train.items)
    assert ids(unnamed, unnamed.train.items)[:2] == [10, 20]


def test_rows_without_a_time_are_counted_where_bad_rows_are_skipped(tmp_path: Path) -> None:
    late = ROWS.with_columns(time=pl.when(pl.col("time") != 9).then("time"))
    with pytest.raises(DataError, match=r"column 'time': expected a time, got nothing in row 7"):
        prepared(tmp_path, late)
    ITEMS.write_parquet(tmp_path / "items.parquet")
    text = recipe(items=str(tmp_path / "items.parquet")).to_yaml()
    skipping = parse_recipe(text, ["data.on_bad_rows=skip"])
    data = prepare_retrieval(skipping, open_source(late))
    assert data.rows.skipped == {"time": 1}
    assert len(data.rows.user) == ROWS.height - 1
