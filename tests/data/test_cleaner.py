from datetime import date, datetime

import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner, implied_zeros, label_cells, label_reader
from crosstower.data.sources.source import Chunk
from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.own_columns import ROW, label_name, raw_name, time_name, truth_name
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Rating, Regression, Task
from crosstower.values.columns import Cells

LONG = 2**63 - 1


def chunk(frame: pl.DataFrame | dict, first_row: int = 0) -> Chunk:
    return Chunk(pl.DataFrame(frame), "rows.csv", first_row, first_row + 1000)


def cleaner(columns: dict | None = None, task: object = "binary", **options: object) -> Cleaner:
    schema = Schema.model_validate(
        {"columns": columns or {"c": "categorical"}, "tasks": {"y": task}}
    )
    return Cleaner(schema, **options)  # type: ignore[arg-type]


def clean_column(values: object, column: object, dtype: pl.DataType | None = None) -> list:
    frame = pl.DataFrame({"c": pl.Series(values, dtype=dtype, strict=False)})
    return cleaner({"c": column}, with_labels=False).clean(chunk(frame))["c"].to_list()


def clean_labels(values: object, task: object) -> list:
    frame = pl.DataFrame({"c": ["x"] * len(values), "y": values}, strict=False)  # type: ignore[arg-type]
    return cleaner(task=task).clean(chunk(frame))[label_name("y")].to_list()


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, None, -5], pl.Int32, [1, None, -5]),
        ([LONG, 0], pl.UInt64, [LONG, 0]),
        (["a", None, "", " b "], pl.String, ["a", None, None, "b"]),
        ([1.0, None], pl.Float64, [1, None]),
        ([LONG + 1, 7], pl.UInt64, [str(LONG + 1), "7"]),
        (["7", "7.0", "007", "True"], pl.String, ["7", "7", "007", "true"]),
        ([True, False, None], pl.Boolean, ["true", "false", None]),
        ([date(2024, 5, 1)], pl.Date, ["2024-05-01"]),
        (["a", "b"], pl.Categorical, ["a", "b"]),
        (["a", "b"], pl.Enum(["a", "b"]), ["a", "b"]),
        ([None], pl.Null, [None]),
    ],
)
def test_ids_become_integers_or_text(values: list, dtype: pl.DataType, expected: list) -> None:
    assert clean_column(values, "categorical", dtype) == expected


def test_a_time_is_an_id_of_its_own() -> None:
    assert clean_column([datetime(2024, 5, 1, 12)], "categorical")[0].startswith("2024-05-01T12")


def test_ids_of_lists_are_refused() -> None:
    with pytest.raises(DataError, match="column 'c': expected single values such as ids, got"):
        clean_column([[1]], "categorical")


@pytest.mark.parametrize("bad", [7.5, 2.0**53, float("inf")])
def test_a_number_that_is_no_id_is_refused_with_its_row(bad: float) -> None:
    match = (
        r"column 'c': expected an id, an integer or a text, got .* in row 501 of rows\.csv; store"
        r" ids as integers or text, .*, or set data\.on_bad_rows: skip"
    )
    with pytest.raises(DataError, match=match):
        cleaner(with_labels=False).clean(chunk({"c": [1.0, bad]}, first_row=500))


def test_numbers_are_read_from_text_and_may_be_missing() -> None:
    assert clean_column(["1.5", None, "-2"], "numeric") == [1.5, None, -2.0]
    assert clean_column([True, False], "numeric") == [1.0, 0.0]


@pytest.mark.parametrize("bad", ["abc", float("nan"), float("inf"), float("-inf"), "nan"])
def test_a_cell_that_is_no_finite_number_is_refused(bad: object) -> None:
    with pytest.raises(DataError, match=r"column 'c': expected a finite number, got .* in row 1"):
        clean_column(["1.0" if isinstance(bad, str) else 1.0, bad], "numeric")


def test_numbers_that_are_lists_are_refused() -> None:
    with pytest.raises(DataError, match="column 'c': expected numbers, got List"):
        clean_column([[1.0]], "numeric")


def test_text_is_split_into_a_bag() -> None:
    column = {"kind": "bag", "separator": "|"}
    assert clean_column(["a|b", "a||", "", None], column) == [["a", "b"], ["a"], [], None]


def test_lists_of_integers_and_text() -> None:
    assert clean_column([[3, 4], None, []], "sequence") == [[3, 4], None, []]
    assert clean_column([["a", None]], "bag") == [["a", None]]


def test_a_list_with_an_id_beyond_int64_holds_texts() -> None:
    found = clean_column([[1], [2, LONG + 1]], "bag", pl.List(pl.UInt64))
    assert found == [["1"], ["2", str(LONG + 1)]]


@pytest.mark.parametrize(
    ("text", "separator", "expected"),
    [
        ("a, b", ",", ["a", "b"]), (" a ,b ,", ",", ["a", "b"]), ("[1, 2]", None, ["1", "2"]),
        ("[1, 2]", ",", ["1", "2"]), ("[1,2]", "|", ["1", "2"]), ("[1]|[2]", "|", ["[1]", "[2]"]),
        ("['a', 'b c']", None, ["a", "b c"]), ('["a, b", "c"]', None, ["a, b", "c"]),
        ("[foo bar, baz]", None, ["foo bar", "baz"]), ("[1 2\n 3]", None, ["1", "2", "3"]),
        ("['a' 'b']", None, ["a", "b"]), ('["caf\\u00e9", null]', None, ["café", None]),
        ("['it\\'s', None]", None, ["it's", None]), ("[\"it's\", 'b']", None, ["it's", "b"]),
        ("[]", None, []), ("[1.0, True]", None, ["1", "true"]), (None, None, None),
        ("one", "|", ["one"]), ("[a]", None, ["a"]), ("", None, None),
    ],
)  # fmt: skip
def test_text_that_holds_a_list(
    text: str | None, separator: str | None, expected: list | None
) -> None:
    column = {"kind": "bag", **({"separator": separator} if separator else {})}
    for rows in (1, 20):
        assert clean_column([text] * rows, column, pl.String) == [expected] * rows


def test_one_value_a_row_is_a_bag_where_a_separator_is_declared() -> None:
    assert clean_column([5, None], {"kind": "bag", "separator": "|"}) == [["5"], None]
    with pytest.raises(DataError, match="column 'c': expected lists, got Int64; store lists, or"):
        clean_column([5], "bag")


@pytest.mark.parametrize("values", [["a|b"], ["[[1], [2]]"], [[0.5]]])
def test_what_is_no_list_of_ids_is_refused(values: list) -> None:
    with pytest.raises(DataError, match=r"column 'c': expected a list .* in row 0"):
        clean_column(values, "bag")


def test_vectors_have_one_width_and_are_finite_or_missing() -> None:
    column = {"kind": "vector", "width": 2}
    assert clean_column([[1, 2], None], column) == [[1.0, 2.0], None]
    assert clean_column([[1, 2]], column, pl.Array(pl.Float32, 2)) == [[1.0, 2.0]]
    for bad in ([1.0], [1.0, float("nan")], [1.0, None]):
        with pytest.raises(DataError, match=r"expected 2 finite numbers, got .* in row 1"):
            clean_column([[0.0, 0.0], bad], column)
    assert clean_column(["[1, 2.5]", " [1. 2.]", None], column) == [[1.0, 2.5], [1.0, 2.0], None]
    with pytest.raises(DataError, match="expected 2 finite numbers, got '1,2' in row 0"):
        clean_column(["1,2"], column)
    with pytest.raises(DataError, match="expected lists of 2 numbers, got Int64"):
        clean_column([1], column)


@pytest.mark.parametrize(
    ("task", "given", "expected"),
    [
        ("binary", [0, 1, None], [0, 1, None]),
        ("binary", [True, False], [1, 0]),
        ("binary", ["0", "1"], [0, 1]),
        ({"kind": "binary", "positive": "yes"}, ["yes", " yes", "no", None], [1, 1, 0, None]),
        ({"kind": "binary", "positive": 2}, [1, 2], [0, 1]),
        ({"kind": "binary", "positive": True}, [True, False, None], [1, 0, None]),
        ({"kind": "binary", "positive": True}, ["True", "False", "x"], [1, 0, 0]),
        ({"kind": "binary", "positive": True}, [1, 0], [1, 0]),
        ({"kind": "binary", "positive": "true"}, [True, False], [1, 0]),
        ({"kind": "binary", "positive": 1}, [1.0, 0.0, None], [1, 0, None]),
        ({"kind": "binary", "positive": 1}, ["1.0", "0.0"], [1, 0]),
        ({"kind": "binary", "positive": 1}, [True, False], [1, 0]),
        ({"kind": "binary", "positive": "1"}, [1, 10], [1, 0]),
        ({"kind": "binary", "positive": 4.5}, ["4.50", "4", None], [1, 0, None]),
        ({"kind": "binary", "positive": "a"}, [b"a", b"b"], [1, 0]),
        ({"kind": "binary", "threshold": 4}, [3, 4, 5, None], [0, 1, 1, None]),
        ("regression", [-1.5, None], [-1.5, None]),
        ("regression", [1e38, -1e38], [1e38, -1e38]),
        ({"kind": "regression", "clip": [0, 10]}, [-1, 5, 1e200], [0, 5, 10]),
        ({"kind": "regression", "clip": [0, 10], "log1p": True}, [-1, 5], [0, 5]),
        ("rating", [1, 5, 2.5, None], [1, 5, 2.5, None]),
    ],
)
def test_labels(task: object, given: list, expected: list) -> None:
    assert clean_labels(given, task) == expected


@pytest.mark.parametrize(
    ("task", "bad", "words"),
    [
        ("binary", 2, r"expected a label of 0 or 1, got 2.* set the task's positive: VALUE"),
        ("binary", -1, "expected a label of 0 or 1, got -1"),
        ("binary", float("nan"), "expected a label of 0 or 1|expected a finite"),
        ("regression", float("inf"), "expected a finite number, got inf"),
        ({"kind": "regression", "log1p": True}, -2, "a finite number of at least 0, got -2"),
        ("regression", 1e200, r"a number from -1e\+38 to 1e\+38, got 1e\+200.* divide the labels"),
        ("regression", -1.1e38, r"a number from -1e\+38 to 1e\+38, got -1.1e\+38"),
        ({"kind": "regression", "log1p": True}, 1e200, r"a number from 0 to 1e\+38, got 1e\+200"),
        ("rating", 6, "expected a rating from 1 to 5, got 6.* set the task's low and high"),
    ],
)
def test_a_label_out_of_range_is_refused_with_its_row(task: object, bad: float, words: str) -> None:
    with pytest.raises(DataError, match=rf"column 'y': .*{words}.*") as caught:
        clean_labels([1, bad], task)
    assert "in row 1 of rows.csv" in str(caught.value)


def test_bad_rows_are_skipped_and_counted_by_column() -> None:
    frame = {"c": ["1", "x", "3", "y"], "y": [0, 1, 7, 1]}
    tidy = cleaner({"c": "numeric"}, on_bad_rows="skip")
    kept = tidy.clean(chunk(frame))
    assert kept[ROW].to_list() == [1000]
    assert tidy.skipped == {"c": 2, "y": 1}


def test_a_cleaned_frame_has_names_of_the_schema_labels_truths_and_extras() -> None:
    task = {"kind": "binary", "column": "clicked", "true_probability": "p"}
    frame = {"user": [7], "clicked": [1], "p": [0.25], "city": ["Faro"]}
    tidy = cleaner({"u": {"kind": "categorical", "source": "user"}}, task, extras=["city"])
    assert tidy.sources() == ["user", "clicked", "p", "city"]
    (row,) = tidy.clean(chunk(frame)).to_dicts()
    assert row == {
        ROW: 1000,
        "u": 7,
        label_name("y"): 1.0,
        truth_name("y"): 0.25,
        raw_name("city"): "Faro",
    }


def test_without_labels_their_columns_are_not_asked_for() -> None:
    tidy = cleaner(with_labels=False)
    assert tidy.sources() == ["c"]
    assert tidy.clean(chunk({"c": ["a"]})).columns == [ROW, "c"]


def test_an_amount_is_needed_in_every_row() -> None:
    rows = {"c": ["a", "b", "c", "d"], "y": [0, 1, 0, 1], "bid": [1.5, None, -2.0, 0.0]}
    with pytest.raises(DataError) as error:
        cleaner(amounts=["bid"]).clean(chunk(rows, 1))
    assert str(error.value).startswith(
        "column 'bid': expected an amount of at least 0, got None in row 2 of rows.csv"
    )
    tidy = cleaner(amounts=["bid"], on_bad_rows="skip")
    assert tidy.clean(chunk(rows))["c"].to_list() == ["a", "d"]
    assert tidy.skipped == {"bid": 2}
    assert "bid" in tidy.sources()


def test_amounts_must_be_there_and_not_be_negative() -> None:
    rows = pl.DataFrame({"c": [1, 2, 3, 4], "bid": [0.0, 2.0, -1.0, None]})
    cleaner = Cleaner(Schema(columns={"c": "categorical"}), amounts=["bid"], on_bad_rows="skip")
    assert cleaner.clean(Chunk(rows, "rows", 0, 0))["c"].to_list() == [1, 2]
    assert cleaner.skipped == {"bid": 2}


def test_times_must_be_there() -> None:
    rows = pl.DataFrame({"c": [1, 2], "ts": [5, None]})
    clock = Clock("ts", unit="s")
    cleaner = Cleaner(Schema(columns={"c": "categorical"}), clocks=[clock], on_bad_rows="skip")
    cleaned = cleaner.clean(Chunk(rows, "rows", 0, 0))
    assert cleaned[time_name("ts")].to_list() == [5 * 10**9]
    assert cleaner.skipped == {"ts": 1}


def test_a_cleaner_can_count_anew() -> None:
    rows = pl.DataFrame({"c": [1.0, 0.5]})
    first = Cleaner(Schema(columns={"c": "categorical"}), on_bad_rows="skip")
    first.clean(chunk(rows))
    other = first.fresh_copy()
    other.clean(chunk(rows))
    other.clean(chunk(rows))
    assert (first.skipped, other.skipped) == ({"c": 1}, {"c": 2})
    with pytest.raises(DataError, match="column 'c': expected an id"):
        first.fresh_copy(on_bad_rows="error").clean(chunk(rows))


def read(task: Task, raw: pl.Series) -> Cells:
    return label_cells(task, label_reader(task)(raw))


def test_a_binary_label_is_0_or_1() -> None:
    cells = read(Binary(), pl.Series([0, 1, 2, None]))
    assert cells.values.to_list() == [0.0, 1.0, 2.0, None]
    assert cells.bad.to_list() == [False, False, True, False]
    assert "positive: VALUE or threshold: NUMBER" in cells.advice


@pytest.mark.parametrize(
    ("positive", "raw", "expected"),
    [
        (">50K", ["<=50K", ">50K", None], [0.0, 1.0, None]),
        (1, ["1", "1.0", "2"], [1.0, 1.0, 0.0]),
        (1, [1.0, 0.0, 3.0], [1.0, 0.0, 0.0]),
        (True, [True, False, None], [1.0, 0.0, None]),
    ],
)
def test_the_positive_value_is_found_by_text_or_by_number(
    positive: bool | float | str, raw: list[object], expected: list[float | None]
) -> None:
    cells = read(Binary(positive=positive), pl.Series(raw))
    assert cells.values.to_list() == expected
    assert not cells.bad.any()


def test_a_threshold_makes_a_label_of_a_number() -> None:
    cells = read(Binary(threshold=4), pl.Series(["3.9", "4", "x"]))
    assert cells.values.to_list()[:2] == [0.0, 1.0]
    assert cells.bad.to_list() == [False, False, True]


def test_a_rating_is_within_its_range() -> None:
    cells = read(Rating(low=1, high=5), pl.Series([1, 5, 6, None]))
    assert cells.bad.to_list() == [False, False, True, False]
    assert cells.expected == "a rating from 1 to 5"


@pytest.mark.parametrize(
    ("task", "values", "bad"),
    [
        (Regression(), [-1.0, 9.0], [False, False]),
        (Regression(log1p=True), [-1.0, 9.0], [True, False]),
        (Regression(clip=(0, 5)), [0.0, 5.0], [False, False]),
        (Regression(clip=(0, 5), log1p=True), [0.0, 5.0], [False, False]),
    ],
)
def test_regressions_are_clipped_before_they_are_checked(
    task: Task, values: list[float], bad: list[bool]
) -> None:
    cells = read(task, pl.Series([-1.0, 9.0]))
    assert cells.values.to_list() == values
    assert cells.bad.to_list() == bad


def test_a_missing_label_is_0_where_its_event_did_not_happen() -> None:
    raw, event = pl.Series([None, None, 7.0, None]), pl.Series([0.0, 1.0, 0.0, None])
    assert implied_zeros(Binary(), raw, raw, event).to_list() == [0.0, None, 7.0, None]
    clipped = implied_zeros(Regression(clip=(2, 9)), raw, raw, event)
    assert clipped.to_list() == [2.0, None, 7.0, None]


def test_a_cell_that_two_columns_read_is_counted_once() -> None:
    columns = {
        "a": {"kind": "numeric", "source": "x"},
        "b": {"kind": "formula", "expression": "x / z"},
    }
    skipping = cleaner(columns, on_bad_rows="skip")
    rows = {"x": ["1", "old", "3", "4"], "z": ["1", "new", "old", "2"], "y": [0, 1, 1, 0]}
    assert skipping.clean(chunk(rows))["a"].to_list() == [1.0, 4.0]
    assert skipping.skipped == {"x": 1, "z": 2}
    assert len(skipping.bad_cells["x"].first) == 1
