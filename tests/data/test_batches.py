import errno
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.data.batch import Batch
from crosstower.data.batches import Batches
from crosstower.data.encoded_rows import BlockSize, EncodedRows
from crosstower.data.ragged import Ragged, padded
from crosstower.errors import DataError


def block(start: int, rows: int) -> Batch:
    ids = torch.arange(start, start + rows, dtype=torch.int32)
    return Batch(
        codes=ids[:, None].repeat(1, 3),
        numbers=ids[:, None].float(),
        lists={"a list": ids[:, None].repeat(1, 2), "other": ids[:, None]},
        labels=ids[:, None].float(),
    )


def encoded(folder: Path, *, rows: int = 1000, memory_bytes: int = 10**9) -> EncodedRows:
    held = EncodedRows(folder / "rows", memory_bytes)
    for start in range(0, rows, 100):
        held.add(block(start, min(100, rows - start)))
    return held


def ids(batches: list[Batch]) -> list[int]:
    return [int(i) for b in batches for i in b.codes[:, 0]]


SMALL = 9_000  # bytes: less than a quarter of 1000 rows


@pytest.fixture(params=["memory", "disk"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> EncodedRows:
    return encoded(tmp_path, memory_bytes=SMALL if request.param == "disk" else 10**9)


def test_an_epoch_without_a_seed_is_in_order(rows: EncodedRows) -> None:
    batches = list(Batches(rows, 64).epoch())
    assert ids(batches) == list(range(1000))
    assert [len(b) for b in batches] == [64] * 15 + [40]
    assert len(Batches(rows, 64)) == 16


def test_a_shuffled_epoch_has_every_row_once(rows: EncodedRows) -> None:
    seen = ids(list(Batches(rows, 64, seed=0).epoch(3)))
    assert sorted(seen) == list(range(1000))
    assert seen != list(range(1000))


def test_columns_of_a_row_stay_together(rows: EncodedRows) -> None:
    for batch in Batches(rows, 64, seed=0).epoch():
        own = batch.codes[:, 0].float()
        for tensor in (batch.numbers[:, 0], batch.labels[:, 0], *batch.lists.values()):
            assert torch.equal(tensor.float().reshape(len(own), -1)[:, 0], own)


def test_epochs_and_seeds_differ_and_repeat(rows: EncodedRows) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return ids(list(Batches(rows, 64, seed=seed).epoch(epoch)))

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(s, e)) for s in (0, 1) for e in (0, 1)}) == 4


@pytest.mark.parametrize("start", [0, 1, 7, 15, 16])
def test_an_epoch_goes_on_where_it_stopped(rows: EncodedRows, start: int) -> None:
    batches = Batches(rows, 64, seed=5)
    assert ids(list(batches.epoch(2, start=start))) == ids(list(batches.epoch(2))[start:])


def test_rows_beyond_the_memory_go_to_disk_and_stay_the_same(tmp_path: Path) -> None:
    held = encoded(tmp_path, memory_bytes=10**9)
    assert not (tmp_path / "rows").exists()
    spilled = encoded(tmp_path, memory_bytes=SMALL)
    assert len(list((tmp_path / "rows").iterdir())) == spilled.blocks == 10
    one, other = (Batch.concatenate(list(Batches(r, 128).epoch())) for r in (held, spilled))
    assert torch.equal(one.codes, other.codes)
    assert torch.equal(one.lists["a list"], other.lists["a list"])


def size_of(batch: Batch) -> int:
    tensors = (batch.codes, batch.numbers, batch.labels, *batch.lists.values())
    return sum(t.nbytes for t in tensors)


def test_rows_stay_in_memory_until_it_is_full(tmp_path: Path) -> None:
    full = 1000 * size_of(block(0, 1))
    assert not encoded(tmp_path, memory_bytes=full)._files
    assert len(encoded(tmp_path, memory_bytes=full - 1)._files) == 10


def test_rows_in_memory_are_there_once(tmp_path: Path) -> None:
    """A window, and a batch in order, are the rows themselves."""
    held = encoded(tmp_path)
    place = next(held.windows([0])).codes.data_ptr()
    first, second = list(Batches(held, 500).epoch())
    assert first.codes.data_ptr() == place
    assert second.codes.data_ptr() == place + first.codes.nbytes


def test_more_memory_than_the_system_gives_is_no_error(tmp_path: Path) -> None:
    held = encoded(tmp_path, memory_bytes=2**62)
    assert not held._files
    assert ids(list(Batches(held, 64).epoch())) == list(range(1000))


def test_rows_are_taken_by_place() -> None:
    rows, places = block(0, 50), np.array([3, 3, 40], dtype=np.int32)
    taken = rows.take(places)
    assert taken.codes.tolist() == rows.codes[[3, 3, 40]].tolist()
    assert taken.lists["a list"].tolist() == rows.lists["a list"][[3, 3, 40]].tolist()
    assert taken.numbers[:, 0].tolist() == taken.labels[:, 0].tolist() == [3.0, 3.0, 40.0]


def test_the_next_windows_are_read_while_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilled, loaded, ahead = encoded(tmp_path, memory_bytes=SMALL), [0], threading.Event()
    read = EncodedRows._read

    def counted(self: EncodedRows, like: Batch, path: Path) -> Batch:
        loaded[0] += 1
        if loaded[0] == 3:
            ahead.set()
        return read(self, like, path)

    monkeypatch.setattr(EncodedRows, "_read", counted)
    windows = spilled.windows(list(range(10)))  # of one block each
    next(windows)
    assert ahead.wait(5)
    time.sleep(0.05)
    assert loaded == [3]  # and no more than that: they would not fit into the memory
    windows.close()


def test_leaving_an_epoch_early_ends_its_threads(rows: EncodedRows) -> None:
    before = threading.active_count()
    batches = Batches(rows, 8, seed=0).epoch()
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_a_window_of_spilled_rows_stays_within_its_share(tmp_path: Path) -> None:
    spilled = encoded(tmp_path, memory_bytes=20_000)
    sizes = [size_of(w) for w in spilled.windows(list(range(spilled.blocks)))]
    assert max(sizes) <= 20_000 // 4
    assert len(sizes) == 10


def test_shuffling_reaches_across_blocks_on_disk(tmp_path: Path) -> None:
    spilled = encoded(tmp_path, memory_bytes=40_000)
    first = next(iter(Batches(spilled, 64, seed=0).epoch()))
    assert len({i // 100 for i in ids([first])}) > 1


def test_a_disk_that_is_full_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    match = "encoded rows cannot be written: No space left on device; free some space, or raise"
    with pytest.raises(DataError, match=match):
        encoded(tmp_path, memory_bytes=SMALL)


def test_no_rows_give_no_batches(tmp_path: Path) -> None:
    empty = EncodedRows(tmp_path / "rows", 10)
    empty.add(block(0, 0))
    assert len(empty) == len(Batches(empty, 8)) == 0
    assert list(Batches(empty, 8, seed=1).epoch()) == []


def with_lists(start: int, lists: list[list[int]], *, ragged: bool) -> Batch:
    rows = block(start, len(lists))
    values = np.array([v for row in lists for v in row], dtype=np.int32)
    found = Ragged.of(values, np.array([len(row) for row in lists], dtype=np.int64), 6)
    rows.lists["tags"] = found if ragged else found.padded()
    return rows


Blocks = st.lists(
    st.lists(st.lists(st.integers(1, 99), max_size=6), min_size=1, max_size=9),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60)
@given(Blocks, st.integers(1, 12), st.none() | st.integers(0, 9), st.integers(0, 4))
def test_batches_of_ragged_lists_are_those_of_padded_ones(
    blocks: list, size: int, seed: int | None, start: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = dict[bool, list[Batch]]()
        for ragged in (True, False):
            held = EncodedRows(Path(folder) / str(ragged), 10**6)
            first = 0
            for lists in blocks:
                held.add(with_lists(first, lists, ragged=ragged))
                first += len(lists)
            kept[ragged] = list(Batches(held, size, seed=seed).epoch(1, start=start))
        assert ids(kept[True]) == ids(kept[False])
        for one, other in zip(kept[True], kept[False], strict=True):
            assert torch.equal(padded(one.lists["tags"]), padded(other.lists["tags"]))


@settings(max_examples=60)
@given(Blocks, st.integers(1, 12), st.none() | st.integers(0, 9), st.integers(0, 1500))
def test_ragged_lists_on_disk_stay_with_their_rows(
    blocks: list, size: int, seed: int | None, memory: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        held, every = EncodedRows(Path(folder) / "rows", memory), [r for b in blocks for r in b]
        first = 0
        for lists in blocks:
            held.add(with_lists(first, lists, ragged=True))
            first += len(lists)
        whole = held.followed_by(held, Path(folder) / "both")
        for rows, times in ((held, 1), (whole, 2)):
            batches = list(Batches(rows, size, seed=seed).epoch(2))
            order = ids(batches)
            assert sorted(order) == sorted([*range(len(every))] * times)
            found = [row for b in batches for row in padded(b.lists["tags"]).tolist()]
            assert [[v for v in row if v] for row in found] == [every[place] for place in order]


def test_a_long_list_does_not_widen_the_rows_held(tmp_path: Path) -> None:
    """5,000 rows, one with 20,000 values: 80 kB of values, not 400 MB of padding."""
    lists = [[7] * 20_000 if place == 1234 else [3, 4] for place in range(5000)]
    held = EncodedRows(tmp_path / "rows", 2_000_000)
    for start in range(0, 5000, 500):
        rows = block(start, 500)
        part = lists[start : start + 500]
        counts = np.array([len(row) for row in part], dtype=np.int64)
        values = np.array([v for row in part for v in row], dtype=np.int32)
        held.add(Batch(rows.codes, rows.numbers, {"tags": Ragged.of(values, counts, 20_000)},
                       rows.labels))  # fmt: skip
    assert not held._files
    (window,) = held.windows(list(range(held.blocks)))
    values = sum(len(row) for row in lists)
    assert BlockSize.of(window).bytes == 4 * values + 5000 * (8 + 12 + 4 + 4)
    for batch in Batches(held, 512, seed=0).epoch():
        assert BlockSize.of(batch).bytes <= 4 * 20_000 + 512 * (2 * 4 + 8 + 12 + 4 + 4)


def test_ragged_rows_go_to_disk_when_their_values_fill_the_memory(tmp_path: Path) -> None:
    held = EncodedRows(tmp_path / "rows", 9_000)
    held.add(with_lists(0, [[1]] * 50, ragged=True))
    assert not held._files
    held.add(with_lists(50, [[1, 2, 3, 4, 5, 6]] * 150, ragged=True))
    assert len(held._files) == 2


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("memory", [SMALL, 10**9])
def test_parts_of_processes_are_the_batches_of_one(
    processes: int, memory: int, tmp_path: Path
) -> None:
    rows = encoded(tmp_path, rows=1001, memory_bytes=memory)  # a last batch of one row
    whole = list(Batches(rows, 100, seed=4).epoch(1, start=3))
    parts = [
        list(Batches(rows, 100, seed=4, rank=r, processes=processes).epoch(1, start=3))
        for r in range(processes)
    ]
    for batch, *own in zip(whole, *parts, strict=True):
        assert {part.total for part in own} == {len(batch)}
        kept = [part[:0] if part.labels.isnan().all() else part for part in own]
        assert ids([Batch.concatenate(kept)]) == ids([batch])
        assert all(len(part) for part in own)
