"""Popular items as a source: of all rows, of a segment, and of a window."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.popular import PopularOptions, PopularSource
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.retrieval.sources.trend import window_of
from crosstower.values.ids import Id
from crosstower.values.instants import SECOND

from ...fixtures.sourced_films import watched


def trained(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows but the last two of each user, which test and validate."""
    later = pl.len().over("user") - pl.int_range(pl.len()).over("user")
    return rows.sort("user", "time").filter(later > 2)


def counts_of(source: PopularSource, items: pl.Series, segment: Id | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for places, scores in source.parts(SourceQuery(segment=segment)):
        found |= dict(zip(items.gather(places), scores.astype(int).tolist(), strict=True))
    return found


def fitted(options: PopularOptions, rows: SourceRows) -> PopularSource:
    return PopularSource(options, PopularSource.fit(options, rows))


def test_counts_are_those_of_training_rows(film_rows: SourceRows) -> None:
    found = counts_of(fitted(PopularOptions(), film_rows), film_rows.items.ids, None)
    rows = trained(watched()).group_by("film").len()
    assert found == dict(rows.iter_rows())
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_the_segment_comes_first(film_rows: SourceRows) -> None:
    source = fitted(PopularOptions(segment=True), film_rows)
    french = trained(watched()).filter(pl.col("country") == "FR").group_by("film").len()
    places, scores = next(source.parts(SourceQuery(segment="FR")))
    found = dict(zip(film_rows.items.ids.gather(places), scores.tolist(), strict=True))
    assert found == dict(french.iter_rows())
    for unknown in (None, "IT"):
        everyone = counts_of(source, film_rows.items.ids, unknown)
        assert sum(everyone.values()) == trained(watched()).height


def test_a_window_ends_with_the_last_training_row(film_rows: SourceRows) -> None:
    rows = trained(watched())
    seconds = rows["time"].dt.epoch("s")
    start = window_of(3_600.0).start(int(seconds.max()) * SECOND + 1) / SECOND  # type: ignore[call-overload]
    newest = rows.filter(seconds >= start)
    source = fitted(PopularOptions(window=3_600.0), film_rows)
    found = counts_of(source, film_rows.items.ids, None)
    assert found == dict(newest.group_by("film").len().iter_rows())
    assert 0 < len(found) < 30


def test_events_of_a_server_move_the_window(film_rows: SourceRows) -> None:
    source, ids = fitted(PopularOptions(window=3_600.0), film_rows), film_rows.items.ids
    before, trend = counts_of(source, ids, None), source.trend
    assert trend is not None
    times = trend.until + np.array([60, 120, 121]) * SECOND
    trend.add(pl.Series(["f03", "new", "f03"]), times, now=int(times[1]))
    rows, added = trained(watched()), 1  # the last event is of the future
    seconds = rows["time"].dt.epoch("s")
    start = window_of(3_600.0).start(int(times[1]) + 1) / SECOND
    kept = rows.filter(seconds >= start)["film"].value_counts()
    wanted = dict(kept.iter_rows())
    wanted["f03"] = wanted.get("f03", 0) + added
    assert counts_of(source, ids, None) == wanted != before
    newer = source.newer(pl.DataFrame({"film": ["new", "other"]}), np.array([-1, -1]))
    assert newer is not None
    np.testing.assert_array_equal(newer, [1.0, np.nan])
    trend.advance(int(times[2]))
    assert counts_of(source, ids, None)["f03"] == wanted["f03"] + 1
    assert fitted(PopularOptions(), film_rows).newer(pl.DataFrame(), np.array([])) is None


def test_rows_without_times_or_segments_are_refused(
    film_rows: SourceRows, films_recipe: Recipe
) -> None:
    section = films_recipe.retrieval
    assert section is not None
    plain = films_recipe.model_copy(
        update={"retrieval": section.model_copy(update={"segment": None})}
    )
    without = SourceRows(plain, film_rows.data)
    with pytest.raises(DataError, match=r"segment: true needs retrieval\.segment"):
        PopularSource.fit(PopularOptions(segment=True), without)
    facts = film_rows.data.facts.model_copy(update={"until": None})
    timeless = SourceRows(films_recipe, replace(film_rows.data, facts=facts))
    with pytest.raises(DataError, match="window: 7d needs the time of each row"):
        PopularSource.fit(PopularOptions(window="7d"), timeless)  # type: ignore[arg-type]
