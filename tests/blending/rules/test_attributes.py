import numpy as np
import polars as pl
import pytest

from crosstower.blending.rules.attributes import RuleRows
from crosstower.errors import QueryError

TABLE = pl.DataFrame(
    {
        "id": [7, 8, 9],
        "city": ["Rome", None, "Rome"],
        "price": pl.Series([3, None, 5], dtype=pl.Int16),
        "born": ["2026-01-01", "soon", None],
    }
)


def test_columns_are_read_as_codes_numbers_and_times():
    rows = RuleRows.of_table(TABLE, ids=[7, 8, 9])
    assert rows.count == 3
    codes = rows.codes("city")
    assert codes[0] == codes[2] >= 0 > codes[1]
    np.testing.assert_array_equal(rows.numbers("price"), [3.0, np.nan, 5.0])
    np.testing.assert_array_equal(rows.times("born"), [1_767_225_600.0, np.nan, np.nan])
    assert rows.fits("price > 3 or city == 'Rome'").tolist() == [True, False, True]
    assert [rows.row_of(item) for item in (9, 1)] == [2, -1]
    assert rows.vectors is None


def test_a_wrong_condition_is_refused():
    with pytest.raises(QueryError, match="did you mean 'price'"):
        RuleRows.of_table(TABLE).fits("prise > 3")
