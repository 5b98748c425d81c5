import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import DataError
from crosstower.values.columns import matched, settled, text_of
from crosstower.values.ids import id_of, text_of_value

LONG = 2**63


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7), (7.0, 7), ("7", 7), (" 7\t", 7), ("7.0", 7), ("7.000", 7), (Decimal("7.00"), 7),
        (np.int8(7), 7), (np.float32(7), 7), (-7, -7), ("-7", -7), ("-0", 0), (-0.0, 0),
        ("007", "007"), ("+7", "+7"), ("7_0", "7_0"), ("1e5", "1e5"), ("7.50", "7.50"),
        (LONG - 1, LONG - 1), (LONG, str(LONG)), (str(LONG), str(LONG)), (-LONG, -LONG),
        (True, "true"), ("True", "true"), ("FALSE", "false"), (np.bool_(1), "true"), (1, 1),
        ("a b", "a b"), ("", None), ("  ", None), (None, None), (float("nan"), None),
        (pd.NA, None), (pd.NaT, None), (b"ab", "ab"), (b"7", 7), (b"\xff\x00", "ff00"),
        (b"\x00a", "0061"), (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.date(2024, 1, 31), "2024-01-31"), (dt.datetime(2024, 1, 31), "2024-01-31"),
        (dt.datetime(2024, 1, 31, 5), "2024-01-31T05:00:00"),
        (dt.datetime(2024, 1, 31, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))),
         "2024-01-31T03:00:00"),
        ("2024-01-31 05:00:00+02:00", "2024-01-31T03:00:00"), (dt.time(5, 30), "05:30:00"),
        (pd.Timestamp("2024-01-31 05:00"), "2024-01-31T05:00:00"),
    ],
)  # fmt: skip
def test_a_value_has_one_id(value: Any, expected: int | str | None) -> None:
    assert id_of(value) == expected
    assert type(id_of(value)) is type(expected)


@pytest.mark.parametrize("value", [7.5, float("inf"), 2.0**53, Decimal("7.5"), [7], {}, object()])
def test_what_is_no_id_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="expected an id, an integer or a text, got"):
        id_of(value)


def test_texts_of_values_have_fractions() -> None:
    values = (7.5, Decimal("7.50"), 7.0, 2.0**53, float("inf"), None)
    expected = ["7.5", "7.5", "7", "9007199254740992.0", "inf", None]
    assert [text_of_value(v) for v in values] == expected
    assert text_of(pl.Series([7.5, 7.0, 2.0**53, float("inf")])).to_list() == [
        "7.5", "7", "9007199254740992.0", "inf",
    ]  # fmt: skip


SPECIAL = st.sampled_from(
    ["True", "fALSE", " 7", "7.0", "-0.0", "2024-01-31 00:00:00", "2024-01-31T05:00Z", "\x85a",
     "\u2003b", "\x1cc", "2024-13-01 00:00:00", "9223372036854775808", "\u0667", "1.0\n"]
)  # fmt: skip


@given(st.lists(st.none() | SPECIAL | st.text() | st.integers().map(str), max_size=30))
def test_columns_agree_with_single_values(texts: list[str | None]) -> None:
    column = pl.Series("c", texts, dtype=pl.String)
    padded = pl.concat([column, pl.Series("c", ["x"] * 10)])
    singles = [None if (i := id_of(t)) is None else str(i) for t in texts]
    assert text_of(padded).to_list()[: len(texts)] == singles, "long columns"
    assert text_of(column).to_list() == singles
    assert text_of(text_of(padded)).equals(text_of(padded), null_equal=True), "once is enough"


@given(st.lists(st.integers(-(2**70), 2**70) | st.text("01aT", max_size=3), max_size=12))
def test_ids_of_both_types_are_the_same(values: list) -> None:
    texts = pl.Series([str(v) for v in values], dtype=pl.String)
    ids = settled(text_of(texts))
    assert ids.cast(pl.String).equals(text_of(texts), null_equal=True)
    assert matched(text_of(texts), ids).equals(ids, null_equal=True)
    assert [id_of(v) for v in ids.to_list()] == [id_of(v) for v in values]
