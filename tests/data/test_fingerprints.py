"""Rows met again are recognised by their inputs, from a sketch of bounded size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.batch import Batch
from crosstower.data.fingerprints import Fingerprints, Recognised, Smallest, row_hashes
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
