"""Rows in shards come out as they went in, whatever the size of a shard."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crosstower.data import encoded_shards
from crosstower.data.batch import Batch
from crosstower.data.batches import Batches
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.encoded_shards import ShardedRows, ShardWriter, Window, read_block, write_block
from crosstower.data.ragged import Ragged
from crosstower.errors import RunError


def block(first: int, rows: int) -> Batch:
    number = torch.arange(first, first + rows)
    counts = (number % 3).numpy().astype(np.int64)
    values = np.repeat(number.numpy(), counts).astype(np.int32)
    return Batch(
        number.repeat(2, 1).T.contiguous().int(),
        number[:, None].float() / 7,
        {"tags": Ragged.of(values, counts, 4), "seen": number.repeat(3, 1).T.contiguous().int()},
        torch.where(number % 5 == 0, torch.nan, number)[:, None],
    )


BLOCKS = [block(0, 40), block(40, 1), block(41, 0), block(41, 25), block(66, 34)]


def same(one: Batch, other: Batch) -> bool:
    left, right = (
        [b.codes, b.numbers, b.labels.nan_to_num(-1), b.lists["seen"], b.lists["tags"].padded()]  # type: ignore[union-attr]
        for b in (one, other)
    )
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def written(folder: Path, shard_bytes: int, memory: int = 10**9) -> ShardedRows:
    writer = ShardWriter(folder / "rows", shard_bytes=shard_bytes)
    for one in BLOCKS:
        writer.add(one)
    return ShardedRows(folder / "rows", writer.finish(), memory)


@pytest.mark.parametrize(("shard_bytes", "files"), [(1, 4), (2_000, 2), (10**9, 1)])
@pytest.mark.parametrize("memory", [10**9, 1_500, 1], ids=["held", "windows", "blocks"])
def test_epochs_equal_those_of_rows_in_memory(
    tmp_path: Path, shard_bytes: int, files: int, memory: int
) -> None:
    found = written(tmp_path, shard_bytes, memory)
    assert len(list((tmp_path / "rows").iterdir())) == files
    plain = EncodedRows(tmp_path / "plain", memory)
    for one in BLOCKS:
        plain.add(one)
    assert (len(found), found.blocks) == (len(plain), plain.blocks) == (100, 4)
    for seed in (None, 0, 1):
        pairs = zip(
            Batches(found, 7, seed=seed).epoch(2),
            Batches(plain, 7, seed=seed).epoch(2),
            strict=True,
        )
        assert all(same(one, other) for one, other in pairs)


def test_a_window_is_one_batch_of_all_parts() -> None:
    whole, window = Batch.concatenate(BLOCKS), Window(BLOCKS)
    assert len(window) == 100
    random = np.random.default_rng(0)
    for places in (random.permutation(100), random.integers(0, 100, 9), np.empty(0, np.int64)):
        assert same(window.take(places), whole.take(places))
    for begin, end in ((0, 100), (39, 42), (5, 5), (66, 67), (90, 200)):
        assert same(window[begin:end], whole[begin:end])


def test_blocks_are_kept(tmp_path: Path) -> None:
    found = written(tmp_path, 2_000)
    kept = [one for one in BLOCKS if len(one)]
    assert all(same(found.block(i), one) for i, one in enumerate(kept))


def test_rows_are_mapped_not_read(tmp_path: Path) -> None:
    """Pages that no one has touched take no memory."""
    none = torch.zeros(2_000_000, 0)
    large = Batch(torch.ones(2_000_000, 8).int(), none, {}, none)
    write_block(large, tmp_path / "rows.safetensors")
    del large
    before = _resident()
    rows = read_block(tmp_path / "rows.safetensors")
    assert _resident() - before < 16 << 20
    assert int(rows.codes[-1, -1]) == 1


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_split_without_rows_has_no_windows(tmp_path: Path) -> None:
    empty = ShardedRows(tmp_path, ShardWriter(tmp_path / "rows").finish(), 10)
    assert (len(empty), list(empty.windows([]))) == (0, [])


@pytest.mark.parametrize("content", [b"", b"not a shard", b"\xff" * 64])
def test_a_damaged_shard_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "000000.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"000000\.safetensors: cannot be read.*prepare"):
        read_block(tmp_path / "000000.safetensors")
    with pytest.raises(RunError, match="cannot be read"):
        read_block(tmp_path / "missing.safetensors")


def test_names_of_shards_begin_with_a_prefix(tmp_path: Path) -> None:
    writer = encoded_shards.ShardWriter(tmp_path, prefix="7-", shard_bytes=1)
    for one in BLOCKS[:2]:
        writer.add(one)
    assert [s.file for s in writer.finish()] == ["7-000000.safetensors", "7-000001.safetensors"]


@pytest.mark.parametrize("memory", [10**9, 1_500])
def test_shards_of_two_splits_are_not_copied(tmp_path: Path, memory: int) -> None:
    one, other = (written(tmp_path / name, 2_000, memory) for name in ("a", "b"))
    plain = [EncodedRows(tmp_path / name, memory) for name in ("c", "d")]
    for rows in plain:
        for part in BLOCKS:
            rows.add(part)
    whole = one.followed_by(other, tmp_path / "both")
    expected = plain[0].followed_by(plain[1], tmp_path / "spilled")
    assert (len(whole), whole.blocks) == (200, expected.blocks)
    pairs = zip(
        Batches(whole, 9, seed=0).epoch(1), Batches(expected, 9, seed=0).epoch(1), strict=True
    )
    assert all(same(left, right) for left, right in pairs)
    assert not (tmp_path / "both").exists()
    mixed = one.followed_by(plain[1], tmp_path / "mixed")
    assert len(mixed) == 200
