from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.ragged import Ragged, joined_lists, padded

Rows = st.lists(st.lists(st.integers(1, 99), max_size=7), max_size=12)
LENGTH = 7


def ragged(rows: list[list[int]], length: int = LENGTH) -> Ragged:
    values = np.array([v for row in rows for v in row], dtype=np.int32)
    return Ragged.of(values, np.array([len(row) for row in rows], dtype=np.int64), length)


def listed(lists: Ragged) -> list[list[int]]:
    """The lists, out of values and offsets alone."""
    ends = lists.offsets.tolist()
    assert ends[0] == 0
    assert ends[-1] == len(lists.values)
    values = lists.values.tolist()
    return [values[a:b] for a, b in pairwise(ends)]


@given(Rows)
def test_padding_comes_after_the_values(rows: list[list[int]]) -> None:
    lists = ragged(rows)
    assert len(lists) == len(rows)
    assert lists.counts.tolist() == [len(row) for row in rows]
    expected = [row + [0] * (LENGTH - len(row)) for row in rows]
    assert padded(lists).tolist() == lists.padded().tolist() == expected
    longest = max([1, *(len(row) for row in rows)])
    assert lists.to_longest().tolist() == [row[:longest] for row in expected]
    assert lists.padded().dtype == torch.int32


@given(Rows, st.data())
def test_rows_are_chosen_as_from_a_python_list(rows: list[list[int]], data: st.DataObject) -> None:
    lists, edge = ragged(rows), st.none() | st.integers(-14, 14)
    run = slice(data.draw(edge), data.draw(edge), data.draw(st.sampled_from([None, 1, 2, 5])))
    assert listed(lists[run]) == rows[run]
    places = data.draw(st.lists(st.sampled_from(range(len(rows))))) if rows else []
    expected = [rows[place] for place in places]
    assert listed(lists[torch.tensor(places, dtype=torch.long)]) == expected
    assert listed(lists.take(np.array(places, dtype=np.int32))) == expected
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    chosen = [row for row, kept in zip(rows, mask, strict=True) if kept]
    assert listed(lists[torch.tensor(mask, dtype=torch.bool)]) == chosen


@given(st.lists(Rows, min_size=1, max_size=4))
def test_parts_make_the_whole(parts: list[list[list[int]]]) -> None:
    whole = joined_lists([ragged(part) for part in parts])
    assert isinstance(whole, Ragged)
    assert listed(whole) == [row for part in parts for row in part]


def test_a_run_of_rows_is_not_copied() -> None:
    lists = ragged([[1, 2], [], [3], [4, 5, 6]])
    run = lists[2:4]
    assert run.values.data_ptr() == lists.values[2:].data_ptr()
    assert lists[:3].offsets.data_ptr() == lists.offsets.data_ptr()


def test_one_long_list_takes_its_own_values_only() -> None:
    lists = ragged([[5] * 20_000, *([[7]] * 999)], 20_000)
    every_other = lists[torch.arange(0, 1000, 2)]
    assert lists.values.nbytes == 4 * 20_999
    assert every_other.values.nbytes == 4 * 20_499


@pytest.mark.parametrize("row", [0, 1])
def test_padded_lists_stay_as_they_are(row: int) -> None:
    table = torch.tensor([[3, 0], [4, 5]])
    assert padded(table) is table
    assert joined_lists([table, table]).tolist()[2 + row] == table[row].tolist()
