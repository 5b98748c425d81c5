"""Hashes against Python integers."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crosstower.values.hashing import combine, hash_id, hash_ids, mix, uniform

MASK = (1 << 64) - 1


def splitmix(value: int, seed: int = 0) -> int:
    """Oracle in Python integers (Steele et al. 2014, figure 16)."""
    z = (value + 0x9E3779B97F4A7C15 * (seed + 1)) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def polynomial(text: str, seed: int = 0) -> int:
    data = text.encode()
    total = sum((byte + 1) * pow(0x100000001B3, i + 1, 1 << 64) for i, byte in enumerate(data))
    return splitmix((total ^ len(data)) & MASK, seed)


@given(st.lists(st.integers(0, MASK), min_size=1, max_size=20), st.integers(0, 5))
def test_mix_is_splitmix64(values: list[int], seed: int) -> None:
    mixed = mix(np.array(values, dtype=np.uint64), seed)
    assert mixed.tolist() == [splitmix(v, seed) for v in values]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=30))
def test_hash_of_text_is_its_mixed_polynomial(texts: list[str]) -> None:
    hashed = hash_ids(pl.Series(texts, dtype=pl.String))
    assert hashed.tolist() == [polynomial(t) for t in texts]
    assert [hash_id(t) for t in texts] == hashed.tolist()


def test_a_known_hash_never_changes() -> None:
    """Saved runs depend on it: another value here breaks every hashed column in the field."""
    assert hash_ids(pl.Series(["Lisboa", "", "日本"])).tolist() == [
        polynomial("Lisboa"),
        polynomial(""),
        polynomial("日本"),
    ]
    assert splitmix(0) == 0xE220A8397B1DCDAF  # the first output of splitmix64 seeded with 0


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_a_number_and_its_text_are_the_same_id(ids: list[int]) -> None:
    numbers = pl.Series(ids, dtype=pl.Int64)
    assert (hash_ids(numbers) == hash_ids(numbers.cast(pl.String))).all()


def test_nulls_hash_to_zero_and_empty_text_does_not() -> None:
    hashed = hash_ids(pl.Series([None, ""], dtype=pl.String))
    assert hashed[0] == 0
    assert hashed[1] != 0


def test_an_empty_column_has_no_hashes() -> None:
    assert len(hash_ids(pl.Series([], dtype=pl.String))) == 0


def test_seeds_give_unrelated_hashes() -> None:
    ids = pl.Series(range(20_000))
    first, second = uniform(hash_ids(ids, 0)), uniform(hash_ids(ids, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_hashes_fill_buckets_evenly() -> None:
    counts = np.bincount((hash_ids(pl.Series(range(64_000))) % np.uint64(64)).astype(int))
    # Poisson with mean 1000: six standard deviations.
    assert counts.min() > 1000 - 6 * 1000**0.5
    assert counts.max() < 1000 + 6 * 1000**0.5


def test_uniform_numbers_are_in_range_and_uniform() -> None:
    u = uniform(mix(np.arange(100_000)))
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005


def test_the_order_of_crossed_columns_counts() -> None:
    a, b = np.array([1, 2, 3]), np.array([3, 2, 1])
    assert combine([a, b])[0] != combine([b, a])[0]
    assert combine([a, b]).tolist() == combine([a.copy(), b.copy()]).tolist()
    assert len(set(combine([a, b]).tolist())) == 3
