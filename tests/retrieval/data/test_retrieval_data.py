"""From rows to pairs and questions, checked by hand on nine rows."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from crosstower.data.answer_counts import AnswerCounts
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.recipe import Recipe, parse_recipe
from crosstower.retrieval.data.pairs import PairBatches
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


def asked(data: RetrievalData, split: str) -> dict[str, tuple[list[int], list[int]]]:
    """{user: (answers, seen)}."""
    q = data.questions[split]
    return {
        name: tuple(sorted(ids(data, pairs[1][pairs[0] == i])) for pairs in (q.relevant, q.seen))
        for i, name in enumerate(q.asked)
    }  # type: ignore[return-value]


def test_training_pairs_are_by_user_and_time(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    assert ids(data, data.train.items) == [10, 20, 10, 20]
    assert data.train.lengths().tolist() == [3, 1, 0]
    assert data.items.ids.to_list() == [50, 10, 20, 30, 40, 60]
    assert data.counts.tolist() == [0, 2, 2, 0, 0, 0]


def test_questions_look_at_earlier_splits_only(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    assert asked(data, "valid") == {"b": ([30], [20]), "c": ([10], [])}
    assert asked(data, "test") == {
        "a": ([30], [10, 20]),
        "b": ([40], [20, 30]),
        "c": ([50], [10]),
    }
    assert data.questions["valid"].cold().tolist() == [False, True]
    assert data.questions["test"].cold().tolist() == [False, False, False]


def test_few_of_many_valid_questions_are_drawn_and_all_of_the_test(tmp_path: Path) -> None:
    everyone = asked(prepared(tmp_path), "valid")
    drawn = prepared(tmp_path, valid_questions=1)
    assert len(asked(drawn, "valid")) == 1
    assert asked(drawn, "valid").items() <= everyone.items()
    assert asked(drawn, "valid") == asked(prepared(tmp_path, valid_questions=1), "valid")
    assert asked(drawn, "test").keys() == {"a", "b", "c"}


def test_an_answer_that_was_had_before_is_not_asked_again(tmp_path: Path) -> None:
    again = ROWS.with_columns(
        pl.when(pl.col("item") == 40).then(20).otherwise("item").alias("item")
    )
    data = prepared(tmp_path, again)
    assert "b" not in asked(data, "test")
    assert data.facts.answers == AnswerCounts(total=3, seen=1, rule="ignored")
    kept = prepared(tmp_path, again, exclude_seen=False)
    assert asked(kept, "test")["b"] == ([20], [])
    assert kept.facts.answers == AnswerCounts(total=3, seen=1, rule="shown")
    missed = prepared(tmp_path, again, seen_answers="miss")
    assert asked(missed, "test")["b"] == ([20], [20, 30])
    assert missed.facts.answers == AnswerCounts(total=3, seen=1, rule="missed")


def test_a_pairs_history_is_what_came_before_it(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    (batch,) = PairBatches(data, 10, seed=0).epoch()
    order = torch.argsort(batch.user * 10 + batch.query.lists["had"].ne(0).sum(1))
    codes = dict(zip(data.items.ids, data.query_encoder().codes.tolist(), strict=True))
    found = [[c for c in row if c] for row in batch.query.lists["had"][order].tolist()]
    assert found == [[], [codes[10]], [codes[10], codes[20]], []]
    assert ids(data, batch.item[order]) == [10, 20, 10, 20]


def test_batches_are_the_same_for_the_same_epoch_and_start_anywhere(tmp_path: Path) -> None:
    stream = PairBatches(prepared(tmp_path), 1, seed=4)
    whole = [b.item.item() for b in stream.epoch(3)]
    assert [b.item.item() for b in stream.epoch(3, start=2)] == whole[2:]
    assert len(stream) == 4
    assert sorted(whole) == [1, 1, 2, 2]


def test_only_positives_are_read_and_split(tmp_path: Path) -> None:
    data = prepared(tmp_path, where="stars >= 4")
    assert ids(data, data.train.items) == [10, 10, 20]
    assert data.facts.rows == {"train": 3, "valid": 2, "test": 3}


def test_items_come_from_all_rows_if_there_is_no_table(tmp_path: Path) -> None:
    rows = ROWS.with_columns(genre=pl.lit("z"))
    data = prepare_retrieval(recipe(where="item > 10"), open_source(rows))
    assert data.items.ids.to_list() == [10, 20, 30, 40, 50]
    assert data.items.attributes.columns == ["item", "genre"]


def test_without_users_every_row_asks_for_itself(tmp_path: Path) -> None:
    data = prepared(tmp_path, user=None, time=None, history=None)
    assert len(data.questions["test"]) == 3
    assert data.questions["test"].seen[0].tolist() == []
    assert len(data.train.items) == 4


def test_an_item_never_trained_on_has_no_vocabulary_but_attributes(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    names = [f.name for f in data.encoder.layout.codes]
    codes = data.item_batch.codes
    place = data.items.ids.to_list().index(30)
    assert codes[place, names.index("item")] == 2  # unseen
    assert codes[place, names.index("genre")] > 2


def test_facts_count_what_is_cold_and_what_repeats(tmp_path: Path) -> None:
    notes = prepared(tmp_path).facts.notes
    assert notes[0] == "6 items, 4 of them without a training positive"
    assert notes[1].startswith("1 training rows repeat a pair")


def test_items_whose_columns_no_training_row_has_are_counted(tmp_path: Path) -> None:
    rows = ROWS.with_columns(genre=pl.lit("x"), stars=pl.lit(4))
    others = rows[[0]].with_columns(item=pl.lit(40, pl.Int64), stars=pl.lit(1))
    data = prepared(tmp_path, pl.concat([rows, others]), items=None, where="stars == 4")
    catalogue = next(note for note in data.facts.notes if " items, " in note)
    assert catalogue == (
        "5 items, 3 of them without a training positive; the columns of 2 are missing, as no"
        " training row has them: give all items a table (retrieval.items)"
    )


def test_items_missing_from_the_table(tmp_path: Path) -> None:
    rows = pl.concat([ROWS, ROWS.head(1).with_columns(item=pl.lit(99, pl.Int64))])
    with pytest.raises(DataError, match=r"item 99 is not in the item table: 1 of 10 rows"):
        prepared(tmp_path, rows)
    skipping = recipe(items=str(tmp_path / "items.parquet"))
    data = skipping.data.model_copy(update={"on_bad_rows": "skip"})
    skipped = prepare_retrieval(skipping.model_copy(update={"data": data}), open_source(rows))
    assert "1 rows left out for 'item'" in skipped.facts.notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"user": None}, "user is missing: 1 of 9 rows"),
        ({"split": "train"}, "the valid split holds nothing to find"),
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


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (ITEMS.head(0), "no rows"),
        (pl.concat([ITEMS, ITEMS.head(1)]), "item 50 is there twice"),
        (ITEMS.drop("genre"), "no column 'genre'"),
        (ITEMS.with_columns(item=pl.lit(None, pl.Int64)), "row 0 has no item"),
    ],
)
def test_wrong_item_tables(tmp_path: Path, table: pl.DataFrame, words: str) -> None:
    table.write_parquet(tmp_path / "wrong.parquet")
    with pytest.raises(DataError, match=words):
        prepare_retrieval(recipe(items=str(tmp_path / "wrong.parquet")), open_source(ROWS))


@pytest.mark.parametrize(
    ("columns", "item", "words"),
    [
        ({}, ["itm"], "no item column 'itm'; did you mean 'item'"),
        ({}, [], "name the columns of the item tower"),
        (
            {"km": {"kind": "distance", "origin": ["a", "b"], "to": ["c", "d"]}},
            ["item"],
            "a distance needs the query and the item at once",
        ),
        ({"both": {"kind": "cross", "columns": ["user", "item"]}}, ["item"], "one side only"),
    ],
)
def test_sides_that_cannot_be(columns: dict, item: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        prepare_retrieval(recipe(columns, tuple(item)), open_source(ROWS))


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
        found = [answers for answers, _ in asked(data, name).values()]
        assert [[str(i) for i in answers] for answers in found] == [[str(last)]] * 2
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
