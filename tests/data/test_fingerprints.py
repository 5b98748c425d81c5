"""Rows met again are recognised by their inputs, from a sketch of bounded size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.batch import Batch
from crosstower.data.fingerprints import (
    FingerprintCounter,
    Fingerprints,
    NumberedRows,
    Recognised,
    Smallest,
    numbered_hashes,
    row_hashes,
)
from crosstower.data.ragged import Ragged
from crosstower.errors import RunError


def batch(rows: int, *, seed: int = 0, values: int = 1000) -> Batch:
    random = np.random.default_rng(seed)
    codes = torch.from_numpy(random.integers(0, values, (rows, 3)).astype(np.int32))
    numbers = torch.from_numpy(random.normal(size=(rows, 2)).astype(np.float32))
    tags = torch.from_numpy(random.integers(0, 9, (rows, 4)).astype(np.int32))
    return Batch(codes, numbers, {"tags": tags}, torch.zeros(rows, 1))


def sketch(train: Batch, held_out: Batch, *, size: int = 1 << 16) -> Fingerprints:
    kept = Smallest(size), Smallest(size)
    for smallest, rows in zip(kept, (train, held_out), strict=True):
        for start in range(0, len(rows), 100):
            smallest.add(row_hashes(rows[start : start + 100]))
    return Fingerprints.of(*kept)


def warned(known: Fingerprints, rows: Batch) -> list[str]:
    found = Recognised(known)
    found.add(rows)
    return found.warnings()


def test_every_input_and_nothing_else_changes_the_hash() -> None:
    rows = batch(50)
    hashes = row_hashes(rows)
    assert len(np.unique(hashes)) == 50
    relabelled = Batch(rows.codes, rows.numbers, rows.lists, rows.labels + 1)
    assert (row_hashes(relabelled) == hashes).all()
    wider = {"tags": torch.nn.functional.pad(rows.lists["tags"], (0, 3))}
    assert (row_hashes(Batch(rows.codes, rows.numbers, wider, rows.labels)) == hashes).all()
    order = torch.randperm(50)
    assert (row_hashes(rows[order]) == hashes[order.numpy()]).all()
    for changed in (
        Batch(rows.codes + 1, rows.numbers, rows.lists, rows.labels),
        Batch(rows.codes, -rows.numbers, rows.lists, rows.labels),
        Batch(rows.codes, rows.numbers, {"tags": rows.lists["tags"].flip(1) + 1}, rows.labels),
        Batch(rows.codes.flip(1), rows.numbers, rows.lists, rows.labels),
    ):
        assert (row_hashes(changed) != hashes).sum() >= 45


def test_training_rows_are_recognised_and_new_rows_are_not() -> None:
    train, new = batch(1000), batch(1000, seed=1)
    known = sketch(train, batch(200, seed=2))
    assert known.repeated == 0.0
    assert warned(known, new) == []
    assert warned(known, train)[0].startswith(
        "100% of these rows trained the model (1,000 of 1,000"
    )
    mixed = Batch.concatenate([train[:100], new[:300]])
    assert warned(known, mixed)[0].startswith("25% of these rows trained the model")


def test_a_small_sketch_of_many_rows_estimates_the_share() -> None:
    train = batch(20_000)
    known = sketch(train, batch(5000, seed=2), size=500)
    assert len(known.hashes) == 500
    found = Recognised(known)
    found.add(Batch.concatenate([train[:10_000], batch(10_000, seed=1)]))
    assert 300 < found.compared < 700
    assert found.known / found.compared == pytest.approx(0.5, abs=0.1)


def test_rows_that_repeat_by_chance_are_no_news() -> None:
    # Few distinct inputs: new rows equal training rows as often as held-out rows do.
    def few(seed: int) -> Batch:
        rows = batch(2000, seed=seed, values=4)
        return Batch(rows.codes, rows.numbers[:, :0], {}, rows.labels)

    known = sketch(few(0), few(1))
    assert known.repeated > 0.99
    assert warned(known, few(2)) == []


def test_a_sketch_is_stored(tmp_path: Path) -> None:
    known = sketch(batch(1000), batch(200, seed=2), size=300)
    known.save(tmp_path)
    again = Fingerprints.load(tmp_path)
    assert again is not None
    assert (again.hashes == known.hashes).all()
    assert (again.limit, again.repeated) == (known.limit, known.repeated)
    assert Fingerprints.load(tmp_path / "other") is None
    (tmp_path / "fingerprints.parquet").write_bytes(b"no parquet")
    with pytest.raises(RunError, match="damaged"):
        Fingerprints.load(tmp_path)


@given(st.lists(st.lists(st.integers(1, 2**31 - 1), max_size=5), min_size=1, max_size=9))
def test_ragged_lists_have_the_hash_of_padded_ones(lists: list[list[int]]) -> None:
    rows = batch(len(lists))
    values = np.array([v for row in lists for v in row], dtype=np.int32)
    tags = Ragged.of(values, np.array([len(row) for row in lists], dtype=np.int64), 5)
    ragged, table = (
        Batch(rows.codes, rows.numbers, {"first": rows.lists["tags"], "tags": t}, rows.labels)
        for t in (tags, tags.padded())
    )
    assert row_hashes(ragged).tolist() == row_hashes(table).tolist()


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 12), st.randoms())
def test_the_smallest_of_parts_are_those_of_all(
    numbers: list[int], size: int, random: object
) -> None:
    whole, merged = Smallest(size), Smallest(size)
    for number in numbers:  # repeated ones as well
        whole.add(np.array([number], dtype=np.uint64))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    for start in range(0, len(numbers), 13):
        part = Smallest(size)
        part.add(np.array(numbers[start : start + 13], dtype=np.uint64))
        merged.merge(part)
    assert sorted(merged.hashes) == sorted(whole.hashes)
    assert merged.limit == whole.limit


def test_the_fingerprint_depends_on_rows_and_numbers_alone() -> None:
    encoded, numbers = batch(100), np.arange(100)
    hashes = row_hashes(encoded)

    def of(order: np.ndarray, rows: np.ndarray, split: str = "train") -> str:  # type: ignore[type-arg]
        merged = NumberedRows()
        for part in np.array_split(order, 3):
            one = NumberedRows()
            one.add(split, *numbered_hashes(hashes[part], encoded[part], rows[part]))
            merged.merge(one)
        return merged.fingerprint

    forward, mixed = numbers, np.random.default_rng(0).permutation(100)
    assert of(forward, numbers) == of(mixed, numbers)
    assert of(forward, numbers[::-1].copy()) != of(forward, numbers)
    assert of(forward[:-1], numbers) != of(forward, numbers)
    assert of(forward, numbers, "test") != of(forward, numbers)


def test_counters_of_parts_are_merged() -> None:
    rows, numbers = batch(60), np.arange(60)
    splits = {"train": np.arange(40), "test": np.arange(40, 60)}
    whole, merged = FingerprintCounter(), FingerprintCounter()
    whole.add(rows, splits, numbers)
    for begin, end in ((30, 60), (0, 30)):
        part = FingerprintCounter()
        inside = {s: c[(c >= begin) & (c < end)] - begin for s, c in splits.items()}
        part.add(rows[begin:end], inside, numbers[begin:end])
        merged.merge(part)
    assert merged.finish()[1] == whole.finish()[1]
    assert (merged.finish()[0].hashes == whole.finish()[0].hashes).all()
