import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.content_types import ContentTypes, type_text

Kinds = st.lists(st.none() | st.sampled_from(["ad", "photo", "video", "other"]), max_size=30)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3, None, -7], ["3", None, "-7"]),
        ([3.0, None, -7.0, -0.0, 2.5], ["3", None, "-7", "0", "2.5"]),
        ([math.nan, math.inf, 1e15], [None, "inf", "1000000000000000"]),
        ([True, None, False], ["true", None, "false"]),
        (["3.0", " photo", "", None], ["3", "photo", None, None]),
        (["True", "2.50"], ["true", "2.50"]),
        ([None, None], [None, None]),
    ],
)
def test_a_type_is_text(values, text):
    assert type_text(pl.Series(values, strict=False)).to_list() == text


@given(st.lists(st.one_of(st.none(), st.integers(1 - 2**53, 2**53 - 1)), max_size=20))
def test_whole_floats_are_the_text_of_the_integers(ids):
    whole = pl.Series(ids, dtype=pl.Int64)
    assert type_text(whole.cast(pl.Float64)).to_list() == whole.cast(pl.String).to_list()


@given(Kinds, st.lists(st.sampled_from(["ad", "video", "unknown", "other"]), unique=True))
def test_rows_are_found_by_type(kinds: list, known: list) -> None:
    types = ContentTypes.of(pl.Series(kinds, dtype=pl.String))
    found = types.rows_of(known)
    rest = [i for i, kind in enumerate(kinds) if kind not in known]
    expected = [(name, [i for i, kind in enumerate(kinds) if kind == name]) for name in known]
    assert [(name, rows.tolist()) for name, rows in found] == [
        *((name, rows) for name, rows in expected if rows),
        (None, rest),
    ]
    assert types.text() == kinds
    assert len(types) == len(kinds)


@given(Kinds, Kinds, st.randoms())
def test_rows_chosen_and_joined_keep_their_types(first: list, second: list, random) -> None:
    parts = [ContentTypes.of(pl.Series(kinds, dtype=pl.String)) for kinds in (first, second)]
    both = ContentTypes.concatenate(parts)
    assert both.text() == first + second
    rows = np.array([random.randrange(len(both)) for _ in range(5)] if len(both) else [], np.int64)
    assert both[rows].text() == [(first + second)[i] for i in rows]
    assert {n for n, _ in both[rows].rows_of(["ad"])} <= {"ad", None}


def test_numbers_are_types_by_their_text() -> None:
    types = ContentTypes.of(pl.Series([3.0, float("nan"), 2.5, None]))
    assert types.text() == ["3", None, "2.5", None]
