"""A distance: four coordinates, each checked, and the kilometres between them."""

import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.recipe.kinds.distance import Distance
from crosstower.recipe.kinds.kind import Reading
from crosstower.recipe.schema import Schema


def test_a_distance_checks_its_four_coordinates() -> None:
    column = Distance(origin=("lat", "lon"), to=("to_lat", "to_lon"))
    frame = pl.DataFrame(
        {"lat": [0.0, 91.0], "lon": [0.0, 0.0], "to_lat": [0.0, 0.0], "to_lon": [1.0, 181.0]}
    )
    readings = column.readings("away")
    assert [r.source for r in readings] == ["lat", "lon", "to_lat", "to_lon", "away"]
    cells = [r.read(frame[r.source]) for r in readings[:4]]
    assert [c.bad.to_list()[1] for c in cells] == [True, False, False, True]
    distance: Reading = readings[4]
    assert distance.values == tuple(r.name for r in readings[:4])
    km = distance.read(*(c.values for c in cells)).values
    assert km[0] == pytest.approx(111.19, abs=0.02)  # one degree at the equator


def test_a_missing_coordinate_makes_the_distance_missing() -> None:
    column = Distance(origin=("lat", "lon"), to=("to_lat", "to_lon"))
    rows = pl.DataFrame(
        {"lat": [0.0, None], "lon": [0.0, 0.0], "to_lat": [0.0, 0.0], "to_lon": [0.0, 1.0]}
    )
    cleaned = Cleaner(Schema(columns={"km": column})).clean(Chunk(rows, "rows", 0, 0))
    assert cleaned["km"].to_list() == [0.0, None]
    learner = column.learner()
    learner.add(cleaned["km"])
    assert column.inputs("km", learner.finish()) == ("km", "km is missing")
