from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.tables import HashBuckets, Vocabulary, VocabularyFit, given_vocabulary
from crosstower.layout import MISSING, RESERVED_CODES, UNSEEN

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


def test_text_of_numbers_finds_a_vocabulary_of_numbers() -> None:
    table = learn(pl.Series([7, 8]))
    assert table.encode(pl.Series(["8", "x", None])).tolist() == [4, UNSEEN, MISSING]


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
