"""Recent items as a source: by a column, and by the first training row."""

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.recent import RecentOptions, RecentSource, numbers_of
from crosstower.retrieval.sources.source_rows import SourceRows

from ...fixtures.sourced_films import films, watched
from .test_popular import trained


def order_of(source: RecentSource, rows: SourceRows) -> list[str]:
    parts = [places for places, _ in source.parts(SourceQuery())]
    return rows.items.ids.gather(np.concatenate(parts)).to_list()


def test_a_column_of_dates_sorts_items(film_rows: SourceRows) -> None:
    options = RecentOptions(column="released")
    source = RecentSource(options, RecentSource.fit(options, film_rows))
    expected = films().sort("released", descending=True, maintain_order=True)["film"].to_list()
    assert order_of(source, film_rows) == expected
    changed = pl.DataFrame({"released": [films()["released"][3], None]})
    times = source.newer(changed, np.array([5, -1]))
    assert times[0] == numbers_of(films()["released"])[3]
    assert np.isnan(times[1])


def test_without_a_column_the_first_training_row_counts(film_rows: SourceRows) -> None:
    options = RecentOptions()
    source = RecentSource(options, RecentSource.fit(options, film_rows))
    first = trained(watched()).group_by("film").agg(pl.col("time").min())
    assert order_of(source, film_rows) == first.sort("time", descending=True)["film"].to_list()


def test_without_a_column_added_items_are_the_newest(film_rows: SourceRows) -> None:
    options = RecentOptions()
    source = RecentSource(options, RecentSource.fit(options, film_rows))
    times = source.newer(pl.DataFrame({"genre": [0, 1, 2]}), np.array([-1, 4, -1]))
    latest = next(source.parts(SourceQuery()))[1][0]
    assert latest < times[0] < times[2]
    own = RecentSource.fit(options, film_rows)["times"][4]
    assert times[1] == own  # it keeps its own time


def test_wrong_columns_are_refused(film_rows: SourceRows) -> None:
    with pytest.raises(DataError, match="no column 'releases'; did you mean 'released'"):
        RecentSource.fit(RecentOptions(column="releases"), film_rows)
    with pytest.raises(DataError, match="no item has a time in film"):
        RecentSource.fit(RecentOptions(column="film"), film_rows)


def test_numbers_of_other_columns() -> None:
    assert numbers_of(pl.Series([3, None])).tolist()[0] == 3.0
    assert np.isnan(numbers_of(pl.Series([True, False]))).all()
