import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from crosstower.errors import DataError
from crosstower.evaluation.reports.slices import slice_table


def frame(n: int = 2000) -> pl.DataFrame:
    random = np.random.default_rng(0)
    p = random.beta(1, 4, n)
    city = random.choice(["Rome", "Paris", "Oslo", "Bern"], n, p=[0.5, 0.3, 0.15, 0.05])
    return pl.DataFrame(
        {
            "city": city,
            "age": random.integers(18, 80, n),
            "click": (random.random(n) < p).astype(float),
            "p": p,
        }
    )


def table(rows: pl.DataFrame, column: str, **options) -> pl.DataFrame:
    return slice_table(rows, column=column, label="click", prediction="p", **options)


def test_each_slice_has_the_metrics_of_its_rows():
    rows = frame()
    for line in table(rows, "city").iter_rows(named=True):
        part = rows.filter(pl.col("city") == line["slice"])
        y, p = part["click"].to_numpy(), part["p"].to_numpy()
        assert line["rows"] == len(y)
        assert line["mean_label"] == pytest.approx(y.mean())
        assert line["mean_prediction"] == pytest.approx(p.mean())
        assert line["calibration_ratio"] == pytest.approx(p.mean() / y.mean())
        assert line["auc"] == pytest.approx(sk.roc_auc_score(y, p))
        assert line["log_loss"] == pytest.approx(sk.log_loss(y, p))


def test_a_certain_and_wrong_prediction_costs_as_much_as_in_the_metrics():
    rows = frame().with_columns(p=1 - pl.col("click"))
    expected = sk.log_loss(rows["click"].to_numpy(), rows["p"].to_numpy())
    assert table(rows, "city")["log_loss"].to_list() == pytest.approx([expected] * 4)


def test_the_most_frequent_values_come_first_the_rest_is_other():
    result = table(frame(), "city", top=2)
    assert result["slice"].to_list() == ["Rome", "Paris", "other (2 values)"]
    assert result["rows"].sum() == 2000


def test_numbers_are_cut_into_ranges_of_equal_mass():
    rows = frame()
    result = table(rows, "age", top=4)
    ages = rows["age"].to_numpy()
    ends = np.quantile(ages, [0.25, 0.5, 0.75, 1.0], method="inverted_cdf").astype(int)
    counts = np.bincount(np.searchsorted(ends, ages))
    assert result["rows"].to_list() == counts.tolist()
    assert result["slice"][0] == f"18 to {ends[0]}"
    assert result["slice"][3] == f"above {ends[2]} to {ends[3]}"


def test_numbers_that_are_names_are_not_cut():
    rows = frame().with_columns(zip=pl.col("age") % 3)
    result = table(rows, "zip", numbers_are_names=True, top=5)
    assert sorted(result["slice"]) == ["0", "1", "2"]


def test_a_number_with_few_values_gives_each_its_range():
    rows = frame().with_columns(stars=pl.Series([1, 1, 1, 5] * 500))
    result = table(rows, "stars")
    assert result["slice"].to_list() == ["1", "above 1 to 5"]
    assert result["rows"].to_list() == [1500, 500]


@pytest.mark.parametrize(
    "values",
    [["a", None, "other (1 values)", "missing"], [1.0, None, math.nan, 2.0]],
)
def test_missing_values_are_a_slice_of_their_own_and_last(values):
    rows = frame().with_columns(x=pl.Series(values * 500))
    result = table(rows, "x")
    unknown = sum(1 for v in values if v is None or str(v) == "nan")
    assert result["slice"][-1] == "missing"
    assert result["rows"][-1] == 500 * unknown
    assert result["rows"].sum() == 2000
    assert len(result) == len(values) - unknown + 1


def test_a_column_of_missing_numbers_is_one_slice():
    rows = frame().with_columns(x=pl.lit(None, pl.Float64))
    assert table(rows, "x")["slice"].to_list() == ["missing"]


def test_dates_and_booleans_are_values():
    rows = frame().with_columns(
        day=pl.Series([date(2025, 1, 1), date(2025, 1, 2)] * 1000), new=pl.col("age") < 30
    )
    assert sorted(table(rows, "day")["slice"]) == ["2025-01-01", "2025-01-02"]
    assert sorted(table(rows, "new")["slice"]) == ["false", "true"]


def test_rows_without_a_label_do_not_count():
    rows = frame()
    hidden = rows.with_columns(
        click=pl.when(pl.col("age") < 40).then(None).when(pl.col("age") < 50).then(math.nan)
        .otherwise("click")
    )  # fmt: skip
    assert table(hidden, "city").equals(table(rows.filter(pl.col("age") >= 50), "city"))


def test_a_slice_of_one_class_has_no_auc():
    rows = frame().with_columns(
        click=pl.when(pl.col("city") == "Rome").then(0.0).otherwise("click")
    )
    line = table(rows, "city").row(0, named=True)
    assert math.isnan(line["auc"])
    assert math.isnan(line["calibration_ratio"])
    assert line["log_loss"] > 0


def test_a_number_task_has_errors_instead():
    rows = frame()
    result = table(rows, "city", kind="regression")
    part = rows.filter(pl.col("city") == result["slice"][0])
    assert result["mae"][0] == pytest.approx(sk.mean_absolute_error(part["click"], part["p"]))
    assert result["rmse"][0] == pytest.approx(sk.root_mean_squared_error(part["click"], part["p"]))
    assert "auc" not in result.columns


def test_wrong_columns_are_named():
    rows = frame().with_columns(tags=pl.lit([1, 2]))
    with pytest.raises(DataError, match="no column 'citi'; did you mean 'city'"):
        table(rows, "citi")
    with pytest.raises(DataError, match="'tags' holds List"):
        table(rows, "tags")
    with pytest.raises(DataError, match="slices: top: expected at least 1, got 0"):
        table(rows, "city", top=0)


def test_an_id_of_nan_is_missing() -> None:
    frame = pl.DataFrame({"id": [1.0, 1.0, math.nan], "y": [1, 0, 1], "p": [0.5, 0.5, 0.5]})
    table = slice_table(frame, column="id", label="y", prediction="p", numbers_are_names=True)
    assert table.select("slice", "rows").rows() == [("1.0", 2), ("missing", 1)]
