import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.encoders.lists import list_codes
from crosstower.data.layout import MISSING, PADDING, RESERVED_CODES, UNSEEN
from crosstower.values.tables import given_vocabulary

TABLE = given_vocabulary(("a", "b", "c"))
CODES = {"a": 3, "b": 4, "c": 5, "z": UNSEEN, None: MISSING}
Rows = st.lists(st.none() | st.lists(st.sampled_from(["a", "b", "c", "z", None]), max_size=6))


@given(Rows, st.integers(1, 4), st.booleans())
def test_lists_agree_with_a_loop(rows: list, length: int, keep_last: bool) -> None:
    lists = list_codes(
        pl.Series(rows, dtype=pl.List(pl.String)), TABLE, length=length, keep_last=keep_last
    )
    padded = lists.padded()
    expected = []
    for row in rows:
        values = list(row or [])
        kept = values[-length:] if keep_last else values[:length]
        codes = [CODES[v] for v in kept]
        expected.append(codes + [PADDING] * (length - len(codes)))
    assert padded.shape == (len(rows), length)
    assert padded.tolist() == expected
    assert len(lists.values) == sum(code != PADDING for row in expected for code in row)


def test_codes_of_values_start_after_the_reserved_ones() -> None:
    lists = list_codes(pl.Series([["a", "c"]]), TABLE, length=3, keep_last=True)
    assert lists.padded().tolist() == [[RESERVED_CODES, RESERVED_CODES + 2, PADDING]]
