"""Moments of cells: each by itself, in every form."""

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
