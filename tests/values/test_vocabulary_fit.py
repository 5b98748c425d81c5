"""Vocabularies over several trainings, against a plain dictionary."""

from collections import Counter
from typing import Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.values import vocabulary_fit
from crosstower.values.vocabulary_fit import begun, chosen, merged, trimmed

Keep = Literal["recent", "frequent"]
TRAININGS = st.lists(st.lists(st.integers(0, 12), max_size=30), min_size=1, max_size=4)


def counts_of(values: list[int], training: int) -> pl.DataFrame:
    found = Counter(values)
    frame = pl.DataFrame(
        {"value": list(found), "count": list(found.values())},
        schema={"value": pl.Int64, "count": pl.UInt32},
    )
    return begun(frame, training=training)


def all_of(trainings: list[list[int]]) -> pl.DataFrame:
    seen = counts_of([], 0)
    for number, values in enumerate(trainings, start=1):
        seen = merged(seen, counts_of(values, number))
    return seen


def expected(trainings: list[list[int]]) -> dict[int, tuple[int, int]]:
    """Return {value: (count, last training)}."""
    found: dict[int, tuple[int, int]] = {}
    for number, values in enumerate(trainings, start=1):
        for value in values:
            found[value] = (found.get(value, (0, 0))[0] + 1, number)
    return found


@given(TRAININGS)
def test_counts_add_up_over_trainings(trainings: list[list[int]]) -> None:
    seen = all_of(trainings)
    rows = {v: (c, last) for v, c, last in seen.select("value", "count", "last").iter_rows()}
    assert rows == expected(trainings)


@given(TRAININGS, st.integers(1, 4), st.integers(1, 6), st.sampled_from(["recent", "frequent"]))
def test_the_best_values_fill_a_vocabulary(
    trainings: list[list[int]], least: int, size: int, keep: Keep
) -> None:
    enough = {v: x for v, x in expected(trainings).items() if x[0] >= least}
    order = {"recent": lambda v: (-enough[v][1], -enough[v][0], v),
             "frequent": lambda v: (-enough[v][0], -enough[v][1], v)}  # fmt: skip
    best = sorted(sorted(enough, key=order[keep])[:size])
    assert chosen(all_of(trainings), least, size, keep=keep).to_list() == best


def test_a_value_comes_in_once_its_counts_add_up() -> None:
    seen = all_of([[1, 1, 1, 2, 2], [2, 3]])
    assert chosen(seen, 3, None, keep="recent").to_list() == [1, 2]


def test_what_is_not_in_the_vocabulary_is_counted_on_within_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vocabulary_fit, "PENDING", 2)
    seen = all_of([[1, 1, 1, 1, 2, 2, 3, 4, 4, 4, 5], [5]])
    kept = trimmed(seen, pl.Series([1]), keep="frequent")
    assert kept["value"].to_list() == [1, 4, 5]


def test_numbers_and_texts_become_texts() -> None:
    before, after = (
        counts_of([1, 2], 1),
        begun(pl.DataFrame({"value": ["2", "b"], "count": [1, 1]})),
    )
    seen = merged(before, after)
    assert seen.sort("value").rows() == [("1", 1, 1), ("2", 2, 1), ("b", 1, 1)]
