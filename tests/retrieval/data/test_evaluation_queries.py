"""Evaluation queries and their relevant items."""

from pathlib import Path

import polars as pl

from crosstower.data.relevant_counts import RelevantCounts

from .test_retrieval_data import ROWS, prepared, queries


def test_queries_look_at_earlier_splits_only(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    assert queries(data, "valid") == {"b": ([30], [20]), "c": ([10], [])}
    assert queries(data, "test") == {
        "a": ([30], [10, 20]),
        "b": ([40], [20, 30]),
        "c": ([50], [10]),
    }
    assert data.evaluation["valid"].cold().tolist() == [False, True]
    assert data.evaluation["test"].cold().tolist() == [False, False, False]


def test_few_of_many_valid_queries_are_drawn_and_all_of_the_test(tmp_path: Path) -> None:
    everyone = queries(prepared(tmp_path), "valid")
    drawn = prepared(tmp_path, valid_queries=1)
    assert len(queries(drawn, "valid")) == 1
    assert queries(drawn, "valid").items() <= everyone.items()
    assert queries(drawn, "valid") == queries(prepared(tmp_path, valid_queries=1), "valid")
    assert queries(drawn, "test").keys() == {"a", "b", "c"}


def test_a_relevant_item_in_the_history_is_ignored(tmp_path: Path) -> None:
    again = ROWS.with_columns(
        pl.when(pl.col("item") == 40).then(20).otherwise("item").alias("item")
    )
    data = prepared(tmp_path, again)
    assert "b" not in queries(data, "test")
    assert data.facts.relevant_counts == RelevantCounts(total=3, seen=1, rule="ignored")
    kept = prepared(tmp_path, again, exclude_seen=False)
    assert queries(kept, "test")["b"] == ([20], [])
    assert kept.facts.relevant_counts == RelevantCounts(total=3, seen=1, rule="shown")
    missed = prepared(tmp_path, again, seen_relevant="miss")
    assert queries(missed, "test")["b"] == ([20], [20, 30])
    assert missed.facts.relevant_counts == RelevantCounts(total=3, seen=1, rule="missed")
