"""Moments of cells: each by itself, in every form."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from crosstower.recipe.kinds.cell_times import CellTimes, without_blanks

MOMENT = 1_767_607_200  # 2026-01-05T10:00:00Z


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("text", [False, True])
def test_the_unit_of_a_number_follows_from_its_size(factor: int, text: bool) -> None:
    cells = pl.Series([str(MOMENT * factor) if text else MOMENT * factor])
    assert CellTimes().instants(cells).seconds.to_list() == [MOMENT]


def test_a_named_unit_is_taken() -> None:
    assert CellTimes(format="ms").instants(pl.Series([5_000])).seconds.to_list() == [5]


def test_text_without_a_zone_is_local() -> None:
    cells = pl.Series(["2026-01-05T11:00", "2026-01-05T10:00Z", "later"])
    found = CellTimes(timezone="Europe/Berlin").instants(cells)
    assert found.seconds.to_list() == [MOMENT, MOMENT, None]


def test_blanks_are_missing() -> None:
    assert without_blanks(pl.Series(["a", " ", "", None])).to_list() == ["a", None, None, None]
    assert without_blanks(pl.Series([1.0, float("nan")])).to_list() == [1.0, None]
    assert without_blanks(pl.Series([3])).to_list() == [3]


@pytest.mark.parametrize(
    ("written", "zone", "cell"),
    [
        (None, None, 1_700_000_000),
        (None, None, 1_700_000_000_000.0),
        (None, None, "1700000000000000"),
        (None, None, "2025-01-01"),
        (None, None, datetime(2025, 1, 1, tzinfo=UTC)),
        (None, None, None),
        ("ms", None, 5),
        ("s", None, "5"),
        ("%d.%m.%Y %H:%M", "Europe/Berlin", "01.01.2025 00:00"),
        ("%d.%m.%Y %H:%M", None, None),
    ],
)
def test_a_moment_in_the_form_of_a_cell_is_read_as_that_moment(
    written: str | None, zone: str | None, cell: Any
) -> None:
    times = CellTimes(format=written, timezone=zone)
    found = times.like(datetime.fromtimestamp(MOMENT, UTC), cell)
    if cell is not None:
        assert type(found) is (int if isinstance(cell, float) else type(cell))
    assert times.instants(pl.Series([found])).seconds.to_list() == [MOMENT]
