"""Codes against dictionaries."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.recipe.kinds.coded import given_vocabulary
from crosstower.values import codes as codes_module
from crosstower.values.codes import MISSING, RESERVED_CODES, UNSEEN, HashBuckets, Vocabulary
from crosstower.values.vocabulary_fit import VocabularyFit

Texts = st.lists(st.none() | st.sampled_from(["a", "b", "c", "dd", "", "é"]), max_size=40)


def learn(*chunks: pl.Series, min_count: int = 1, max_size: int | None = None) -> Vocabulary:
    fit = VocabularyFit(min_count, max_size)
    for chunk in chunks:
        fit.add(chunk)
    return fit.finish()


@given(Texts, Texts, st.integers(1, 4))
def test_codes_agree_with_a_dictionary(train: list, new: list, min_count: int) -> None:
    table = learn(pl.Series(train, dtype=pl.String), min_count=min_count)
    counts = Counter(t for t in train if t is not None)
    known = sorted(v.encode() for v, n in counts.items() if n >= min_count)
    expected = {v.decode(): i + RESERVED_CODES for i, v in enumerate(known)}
    codes = table.encode(pl.Series(new, dtype=pl.String)).tolist()
    assert codes == [MISSING if v is None else expected.get(v, UNSEEN) for v in new]
    assert table.size == RESERVED_CODES + len(known)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30, unique=True))
def test_long_ids_keep_every_digit(ids: list[int]) -> None:
    near = [i + 1 if i + 1 < 2**63 else i - 1 for i in ids]
    table = learn(pl.Series(ids, dtype=pl.Int64))
    assert len(set(table.encode(pl.Series(ids, dtype=pl.Int64)).tolist())) == len(ids)
    strangers = [n for n in near if n not in ids]
    assert set(table.encode(pl.Series(strangers, dtype=pl.Int64)).tolist()) <= {UNSEEN}


def test_how_rows_fall_into_chunks_does_not_matter() -> None:
    ids = pl.Series([i % 37 for i in range(400)])
    chunks = [ids[i : i + 7] for i in range(0, 400, 7)]
    assert learn(*chunks, min_count=11).values.equals(learn(ids, min_count=11).values)


def test_the_most_frequent_values_are_kept_and_ties_break_by_value() -> None:
    table = learn(pl.Series(["b", "b", "c", "a", "d", "d"]), max_size=3)
    assert table.values.to_list() == ["a", "b", "d"]


def test_chunks_of_numbers_and_of_text_join_as_text() -> None:
    table = learn(pl.Series([7, 8]), pl.Series(["x"]))
    assert table.values.to_list() == ["7", "8", "x"]
    assert table.encode(pl.Series([8])).tolist() == [RESERVED_CODES + 1]


@pytest.mark.parametrize("chunks", [([7, 7, 8], ["7", "x"]), (["7", "x"], [7, 7, 8])])
def test_a_number_and_its_text_are_counted_together(chunks: tuple) -> None:
    ids = [pl.Series(c) for c in chunks]
    assert learn(*ids, *ids, min_count=6).values.to_list() == ["7"]


@given(st.lists(st.lists(st.integers(0, 9), max_size=30), min_size=1, max_size=12))
def test_counts_are_those_of_a_counter(chunks: list) -> None:
    counts = Counter(i for chunk in chunks for i in chunk)
    for least in (1, 3, 10):
        table = learn(*(pl.Series(c, dtype=pl.Int64) for c in chunks), min_count=least)
        assert table.values.to_list() == sorted(i for i, n in counts.items() if n >= least)


def test_text_of_numbers_finds_a_vocabulary_of_numbers() -> None:
    table = learn(pl.Series([7, 8]))
    assert table.encode(pl.Series(["8", "x", None])).tolist() == [4, UNSEEN, MISSING]


def test_thousands_of_texts_and_of_numbers_agree_with_a_dictionary() -> None:
    random = np.random.default_rng(0)
    for known, asked in (
        (pl.Series(range(0, 90_000, 9)), pl.Series(range(-500, 91_000, 7))),
        (pl.Series(random.integers(-(2**63), 2**63 - 1, 10_000)).unique(), None),
        (pl.Series([f"a text longer than twelve bytes {i}" for i in range(5_000)]), None),
    ):
        asked = pl.concat([known, known.reverse()]) if asked is None else asked  # noqa: PLW2901
        table = Vocabulary(known.sort())
        places = {v: i + RESERVED_CODES for i, v in enumerate(table.values)}
        assert table.encode(asked).tolist() == [places.get(v, UNSEEN) for v in asked]


def test_known_texts_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another seed: a hash that knows first letters only is of no use."""

    def hashes(ids: pl.Series, seed: int) -> np.ndarray:
        return ids.str.slice(0, 1 if seed < 2 else 9).hash(seed).to_numpy()

    monkeypatch.setattr(codes_module, "_hashes", hashes)
    table = learn(pl.Series(["aa", "ab", "b"]))
    assert table.encode(pl.Series(["b", "ab", "aa", "c"])).tolist() == [5, 4, 3, UNSEEN]


def test_a_value_that_is_there_twice_has_its_first_code() -> None:
    table = Vocabulary(pl.Series(["a", "a", "b"]))
    assert table.encode(pl.Series(["b", "a"])).tolist() == [RESERVED_CODES + 2, RESERVED_CODES]


def test_the_last_hash_of_all_may_be_known_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        codes_module, "_hashes", lambda ids, _seed: ids.to_numpy().astype(np.uint64)
    )
    last, other = pl.Series([2**64 - 1], dtype=pl.UInt64), pl.Series([5], dtype=pl.UInt64)
    assert Vocabulary(last).encode(pl.concat([last, other])).tolist() == [RESERVED_CODES, UNSEEN]
    assert Vocabulary(other).encode(pl.concat([last, other])).tolist() == [UNSEEN, RESERVED_CODES]


def test_counts_of_many_chunks_are_merged_and_exact() -> None:
    chunks = [pl.Series(np.arange(i, 400 + i) % 700) for i in range(0, 2000, 10)]
    together = learn(pl.concat(chunks), min_count=115)
    assert learn(*chunks, min_count=115).values.equals(together.values)
    assert 0 < len(together.values) < 700


def test_an_empty_vocabulary_knows_nothing() -> None:
    table = learn(pl.Series([None, None], dtype=pl.String))
    assert table.encode(pl.Series(["a", None])).tolist() == [UNSEEN, MISSING]


@pytest.mark.parametrize(
    ("values", "dtype"), [((3, 1), pl.Int64), (("b", "a"), pl.String), (("b", 1), pl.String)]
)
def test_a_given_vocabulary_is_sorted_and_typed(values: tuple, dtype: type) -> None:
    table = given_vocabulary(values)
    assert table.values.dtype == dtype
    assert table.values.to_list() == sorted(str(v) if dtype == pl.String else v for v in values)


@given(st.lists(st.none() | st.text(max_size=5), min_size=1))
def test_buckets_are_in_range_and_stable(ids: list) -> None:
    table = HashBuckets(10)
    codes = table.encode(pl.Series(ids, dtype=pl.String))
    assert ((codes >= RESERVED_CODES) | (codes == MISSING)).all()
    assert (codes < table.size).all()
    assert [c == MISSING for c in codes] == [i is None for i in ids]
    assert table.encode(pl.Series(ids[:1], dtype=pl.String))[0] == codes[0]


Ids = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["", "a", "é", "7", "07", " 7", "日本"])


@given(st.lists(Ids, min_size=1, max_size=20), st.lists(Ids, max_size=10), st.booleans())
def test_one_id_has_the_code_that_it_has_in_a_column(known: list, new: list, text: bool) -> None:
    own = {str(i) for i in known} if text else {i for i in known if isinstance(i, int)}
    kind = pl.String if text else pl.Int64
    for table in (Vocabulary(pl.Series(sorted(own), dtype=kind).sort()), HashBuckets(97)):
        codes = [int(table.encode(pl.Series([i]))[0]) for i in [*known, *new]]
        assert [table.code_of(i) for i in [*known, *new]] == codes


def test_a_number_beyond_64_bits_is_unknown() -> None:
    assert [Vocabulary(pl.Series([1, 2])).code_of(n) for n in (2**63, -(2**63) - 1)] == [UNSEEN] * 2
