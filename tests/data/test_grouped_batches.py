import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.data.batch import Batch
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.encoded_shards import ShardedRows, ShardWriter
from crosstower.data.grouped_batches import GroupedBatches, group_codes
from crosstower.errors import DataError


def encoded(folder: Path, groups: list[int], *, memory_bytes: int = 10**9) -> EncodedRows:
    held = EncodedRows(folder / "rows", memory_bytes)
    ids = torch.arange(len(groups), dtype=torch.int32)
    rows = Batch(
        ids[:, None],
        ids[:, None].float(),
        {},
        ids[:, None].float(),
        groups=torch.tensor(groups, dtype=torch.int64) * 1_000_003 - 7,
        weights=ids[:, None].float() / 2,
    )
    for start in range(0, len(groups), 5):
        held.add(rows[start : start + 5])
    return held


def ids(batch: Batch) -> list[int]:
    return batch.codes[:, 0].tolist()


Groups = st.lists(st.integers(0, 12), min_size=1, max_size=120)


@settings(max_examples=80)
@given(Groups, st.integers(1, 30), st.integers(0, 5))
def test_every_row_comes_once_and_groups_are_whole(
    groups: list[int], size: int, epoch: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        batches = GroupedBatches(encoded(Path(folder), groups), size, seed=3)
        found = list(batches.epoch(epoch))
    assert len(found) == len(batches) == max(len(groups) // size, 1)
    assert all(len(batch) for batch in found)
    assert sorted(i for batch in found for i in ids(batch)) == list(range(len(groups)))
    sizes = np.bincount(groups)
    for batch in found:
        assert torch.equal(batch.labels[:, 0] / 2, batch.weights[:, 0])
        for group in {groups[i] for i in ids(batch)}:
            rows = sum(groups[i] == group for i in ids(batch))
            assert rows == sizes[group] or sizes[group] > size
    whole = min(size, int(sizes.max()))
    assert max(len(batch) for batch in found) <= len(groups) / len(found) + whole


def test_epochs_and_seeds_differ_and_repeat(tmp_path: Path) -> None:
    rows = encoded(tmp_path, [i // 3 for i in range(60)])

    def order(seed: int, epoch: int) -> list[int]:
        return [i for b in GroupedBatches(rows, 9, seed).epoch(epoch) for i in ids(b)]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(s, e)) for s in (0, 1) for e in (0, 1)}) == 4


def test_a_long_group_is_divided_anew_in_every_epoch(tmp_path: Path) -> None:
    batches = GroupedBatches(encoded(tmp_path, [0] * 40 + [1, 1]), 10, seed=0)
    parts = [frozenset(ids(next(batches.epoch(epoch)))) for epoch in range(4)]
    assert len(set(parts)) == 4


@pytest.mark.parametrize("start", [1, 3])
def test_an_epoch_goes_on_where_it_stopped(tmp_path: Path, start: int) -> None:
    batches = GroupedBatches(encoded(tmp_path, [i // 4 for i in range(50)]), 8, seed=5)
    whole = [ids(b) for b in batches.epoch(2)]
    assert [ids(b) for b in batches.epoch(2, start=start)] == whole[start:]


@pytest.mark.parametrize("processes", [2, 3])
def test_parts_of_processes_are_the_batches_of_one(processes: int, tmp_path: Path) -> None:
    rows = encoded(tmp_path, [0, 1, 1, 2, 3, 3, 3, 4])
    whole = list(GroupedBatches(rows, 1, 4).epoch(1))
    parts = [list(GroupedBatches(rows, 1, 4, r, processes).epoch(1)) for r in range(processes)]
    for batch, *own in zip(whole, *parts, strict=True):
        assert {part.total for part in own} == {len(batch)}
        kept = [part[:0] if part.labels.isnan().all() else part for part in own]
        assert ids(Batch.concatenate(kept)) == ids(batch)
        assert all(len(part) for part in own)


def test_shards_give_the_batches_of_the_same_rows_in_memory(tmp_path: Path) -> None:
    rows = encoded(tmp_path, [i % 7 for i in range(60)])
    writer = ShardWriter(tmp_path / "shards", shard_bytes=400)
    for number in range(rows.blocks):
        writer.add(rows.block(number))
    stored = ShardedRows(tmp_path / "shards", writer.finish(), 10**9)
    assert len(stored.shards) > 2
    one, other = (list(GroupedBatches(r, 9, 2).epoch(1)) for r in (rows, stored))
    assert [ids(b) for b in one] == [ids(b) for b in other]
    assert all(torch.equal(a.groups, b.groups) for a, b in zip(one, other, strict=True))


def test_rows_beyond_the_memory_are_refused_with_their_size(tmp_path: Path) -> None:
    rows = encoded(tmp_path, [0] * 100, memory_bytes=1000)
    with pytest.raises(DataError, match=r"group: .* 0\.0 MB exceed the .* raise data\.memory_mb"):
        GroupedBatches(rows, 8, seed=0)


def test_rows_without_groups_are_refused(tmp_path: Path) -> None:
    rows = EncodedRows(tmp_path, 10**6)
    rows.add(Batch(torch.zeros(3, 1), torch.zeros(3, 0), {}, torch.zeros(3, 1)))
    with pytest.raises(DataError, match="have no groups; prepare them again"):
        group_codes(rows)
