import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.encoders.row_encoder import RowEncoder
from crosstower.data.ragged import padded
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError
from crosstower.recipe.schema import Schema

COLUMNS: dict[str, Any] = {
    "id": "categorical",
    "name": {"kind": "categorical", "hash_buckets": 50},
    "again": {"kind": "categorical", "table": "id", "source": "id2"},
    "x": "numeric",
    "log": {"kind": "numeric", "transform": "log1p", "source": "x"},
    "rank": {"kind": "numeric", "transform": "quantile", "source": "x"},
    "range": {"kind": "numeric", "transform": "bucketise", "source": "x"},
    "tags": {"kind": "bag", "max_len": 3},
    "words": {"kind": "text", "source": "name", "max_len": 4, "hash_buckets": 40},
    "place": {"kind": "vector", "width": 2},
    "day": "categorical",
    "slot": "categorical",
    "day_slot": {"kind": "cross", "columns": ["day", "slot"], "hash_buckets": 30},
}
SCHEMA = Schema.model_validate({"columns": COLUMNS, "tasks": {"click": "binary"}})
ROWS = pl.DataFrame(
    {
        "id": [1, 2, 3, 2],
        "id2": [2, 2, None, 1],
        "name": ["ann b", "bob", "ann b", None],
        "x": [0.5, None, 7.0, 2.0],
        "tags": [["a", "b"], ["b"], [], None],
        "place": [[0.0, 1.0], [2.0, 3.0], None, [1.0, 1.0]],
        "day": ["mon", "tue", "mon", "sun"],
        "slot": [1, 2, 1, 3],
        "click": [0, 1, 0, 1],
    }
)


def encoder() -> Any:
    fit = EncoderFit(SCHEMA)
    fit.add(Cleaner(SCHEMA).clean(Chunk(ROWS, "rows", 0, 0)))
    return fit.finish()


ENCODER = encoder()
ROW = RowEncoder(ENCODER, list(COLUMNS))
IDS = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([1, 2, 3, "1", "bob", "", 2.0, "2.0", " 3 ", "003", True, "True", 2**64])
)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 2**60)
TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=9)
RAW = st.fixed_dictionaries(
    {
        "id": IDS,
        "id2": IDS,
        "name": TEXTS,
        "x": NUMBERS,
        "tags": st.none() | st.lists(st.sampled_from(["a", "b", "z", " a", "1.0"]), max_size=5),
        "place": st.none() | st.lists(st.floats(-9, 9), min_size=2, max_size=2),
        "day": st.none() | st.sampled_from(["mon", "sun", "sat"]),
        "slot": st.none() | st.integers(0, 5),
    }
)


def as_files_go(row: dict[str, Any]) -> Any:
    frame = pl.DataFrame({name: [value] for name, value in row.items()}, strict=False)
    cleaned = Cleaner(ROW.side.schema, [], with_labels=False).clean(Chunk(frame, "the query", 0, 0))
    return PartialEncoder(ENCODER, list(COLUMNS)).encode(cleaned)


@given(st.lists(RAW, min_size=1, max_size=3))
def test_rows_are_encoded_as_a_file_of_one_row(rows: list) -> None:
    batch = ROW.batch([ROW.encode(row) for row in rows])
    for i, row in enumerate(rows):
        wanted = as_files_go(row)
        assert batch.codes[i].tolist() == wanted.codes[0].tolist()
        np.testing.assert_array_equal(batch.numbers[i], wanted.numbers[0])
        for name, column in wanted.lists.items():
            assert padded(batch.lists[name])[i].tolist() == padded(column)[0].tolist()


def test_what_is_not_given_is_missing() -> None:
    nothing, missing = ROW.encode({}), ROW.encode(dict.fromkeys(ROWS.columns))
    np.testing.assert_array_equal(nothing.codes, missing.codes)
    np.testing.assert_array_equal(nothing.numbers, missing.numbers)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": 0.5}, "column 'id': expected an id, an integer or a text, got 0.5"),
        ({"id": {"a": 1}}, "column 'id'"),
        ({"tags": [0.5]}, "column 'tags': expected a list of ids"),
        ({"tags": [1, {}]}, "column 'tags'"),
        ({"x": math.nan}, "column 'x': expected a finite number"),
        ({"x": "much"}, "column 'x': expected a finite number"),
        ({"place": [1.0]}, "column 'place': expected 2 finite numbers"),
    ],
)
def test_a_bad_value_is_named(row: dict, message: str) -> None:
    for _ in range(2):  # nothing of it is remembered
        with pytest.raises(DataError) as caught:
            ROW.encode(row)
        assert message in str(caught.value)


@pytest.mark.parametrize("value", [True, "3", "  7 ", 10**18])
def test_a_number_is_read_as_in_a_file(value: Any) -> None:
    found = [outcome(encode, {"x": value}) for encode in (ROW.encode, as_files_go_alone)]
    assert found[0] == found[1]


def as_files_go_alone(row: dict[str, Any]) -> Any:
    return as_files_go(dict.fromkeys(ROWS.columns) | row)


def outcome(encode: Any, row: dict[str, Any]) -> Any:
    try:
        return encode(row).numbers.ravel().tolist()
    except DataError as error:
        return str(error)
