"""Queries that are evaluated, and their answers."""

from pathlib import Path

import polars as pl

from crosstower.data.answer_counts import AnswerCounts

from .test_retrieval_data import ROWS, asked, prepared


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


def test_few_of_many_valid_queries_are_drawn_and_all_of_the_test(tmp_path: Path) -> None:
    everyone = asked(prepared(tmp_path), "valid")
    drawn = prepared(tmp_path, valid_queries=1)
    assert len(asked(drawn, "valid")) == 1
    assert asked(drawn, "valid").items() <= everyone.items()
    assert asked(drawn, "valid") == asked(prepared(tmp_path, valid_queries=1), "valid")
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
