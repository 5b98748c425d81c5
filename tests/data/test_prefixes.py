"""Lists that share their values."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.batch import Batch
from crosstower.data.prefixes import Prefixes
from crosstower.data.ragged import Ragged

Histories = st.lists(st.lists(st.integers(3, 99), max_size=60), min_size=1, max_size=9)


def lists_of(histories: list[list[int]], sizes: list[tuple[int, int]]) -> Prefixes:
    flat, counts = [v for h in histories for v in h], [len(h) for h in histories]
    whole = Ragged.of(np.array(flat, np.int32), np.array(counts, np.int64), 60)
    group, size = (torch.tensor(part) for part in zip(*sizes, strict=True))
    return Prefixes.of(whole, group=group, sizes=size)


@given(Histories, st.data())
def test_each_list_is_the_beginning_of_its_whole_list(
    histories: list[list[int]], data: st.DataObject
) -> None:
    groups = data.draw(st.lists(st.integers(0, len(histories) - 1), min_size=1, max_size=12))
    sizes = [(g, data.draw(st.integers(0, len(histories[g])))) for g in groups]
    lists = lists_of(histories, sizes)
    wanted = [histories[g][:n] for g, n in sizes]
    assert [[v for v in row if v] for row in lists.padded().tolist()] == wanted
    assert lists.counts.tolist() == [n for _, n in sizes]
    assert len(lists) == len(sizes)
    chosen = torch.arange(len(sizes)).flip(0)
    assert lists[chosen].padded().tolist() == lists.padded().flip(0).tolist()
    assert lists.take(chosen.numpy()).counts.tolist() == lists.counts.flip(0).tolist()


@given(Histories)
def test_rows_hold_whole_lists_and_little_padding(histories: list[list[int]]) -> None:
    lists = lists_of(histories, [(0, 0)])
    found = [
        [int(v) for v, f in zip(row, first, strict=True) if v and f == begin]
        for row, first in zip(lists.values, lists.first, strict=True)
        for begin in sorted({int(f) for v, f in zip(row, first, strict=True) if v})
    ]
    assert found == [h for h in histories if h]
    half = lists.values[:-1].ne(0).sum(1) + lists.values[1:].ne(0).sum(1)
    assert (half > lists.values.shape[1]).all()  # two rows that fit into one would be one


def test_a_batch_carries_them_to_a_device_and_chooses_rows() -> None:
    lists = lists_of([[3, 4], [5]], [(0, 1), (0, 2), (1, 0)])
    batch = Batch(torch.zeros(3, 0), torch.zeros(3, 0), {"had": lists}, torch.zeros(3, 0))
    assert batch.to("cpu")[1:].lists["had"].padded(2).tolist() == [[3, 4], [0, 0]]  # type: ignore[union-attr]
    assert batch.each(lambda t: t.clone()).lists["had"].counts.tolist() == [1, 2, 0]  # type: ignore[union-attr]
