"""Cells and constants of any spelling."""

import polars as pl
import pytest

from crosstower.data.filters.filter import parse_filter

TEXTS = {
    "rating": ["4", "10", "3.5", "n/a", None],
    "flag": ["True", "false", "TRUE", "1", None],
    "id": ["7", "007", "7.0", "a b", ""],
    "low": ["9", "10", "1", "x", None],
    "lat": ["48.9", "0", "90", "x", None],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rating >= 4", [0, 1]), ("rating >= '4'", [0, 1]), ("'4' <= rating", [0, 1]),
        ("4 <= rating < 10", [0]), ("rating == 4", [0]), ("rating == 10.0", [1]),
        ("rating != 4", [1, 2]), ("rating == '4'", [0]), ("rating != '4'", [1, 2, 3]),
        ("rating in [4, 3.5]", [0, 2]), ("rating in ['10', 4]", [0, 1]), ("rating >= 'm'", [3]),
        ("flag == 1", [0, 2, 3]), ("flag == true", [0, 2, 3]), ("flag == 'True'", [0, 2]),
        ("flag == false", [1]), ("flag in [true]", [0, 2, 3]), ("not flag == 1", [1]),
        ("id == '7'", [0, 2]), ("id == '007'", [1]), ("id == '7.0'", [0, 2]), ("id == 'a b'", [3]),
        ("id in ['7', 'a b']", [0, 2, 3]), ("id not in ['7', '']", [1, 3]),
        ("low < rating", [2]), ("distance_km(lat, low, 48.9, 9) < 1", [0]),
    ],
)  # fmt: skip
def test_text_that_spells_numbers_compares_as_numbers(text: str, expected: list[int]) -> None:
    table = pl.DataFrame(TEXTS)
    fits = table.select(parse_filter(text, dict(table.schema)).alias("fits"))["fits"]
    assert fits.arg_true().to_list() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n == '7'", [0]), ("n >= '7.0'", [0, 1]), ("n in ['8', 7.0]", [0, 1]), ("n == true", [2]),
        ("x == '7.5'", [0]), ("x > 1", [0]), ("x == 0.1", [2]), ("x != 7.5", [2]),
        ("b == 1", [0, 2]),
        ("b == 'True'", [0, 2]), ("b != 'false'", [0, 2]), ("c == 'a'", [0]), ("c < 'b'", [0]),
        ("e >= '9'", [0, 1]), ("y == 'k'", [0]), ("7 in tags", [0]), ("'7' in tags", [0]),
        ("'7' in codes", [0]), ("'true' in tags", [2]), ("n == b", [2]), ("x > e", []),
    ],
)  # fmt: skip
def test_constants_of_any_spelling_fit_every_type(text: str, expected: list[int]) -> None:
    table = pl.DataFrame(
        {
            "n": [7, 8, 1, None],
            "x": pl.Series([7.5, float("nan"), 0.1, None], dtype=pl.Float32),
            "b": [True, False, True, None],
            "c": pl.Series(["a", "b", "c", None], dtype=pl.Categorical),
            "e": pl.Series(["10", "9", "1", None], dtype=pl.Enum(["9", "10", "1"])),
            "y": [b"k", b"\xff", b"", None],
            "tags": [["7.0"], ["x"], ["True"], None],
            "codes": [[7], [70], [], None],
        }
    )
    fits = table.select(parse_filter(text, dict(table.schema)).alias("fits"))["fits"]
    assert fits.arg_true().to_list() == expected
