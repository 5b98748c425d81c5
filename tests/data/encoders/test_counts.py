"""Counts encoded without frames are those of cleaned rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.counts import CountEncoder
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.sources.source import Chunk
from crosstower.recipe.kinds.counter import Counter, ScaledCount
from crosstower.recipe.kinds.scaled_number import QuantileRanked, Standardised
from crosstower.recipe.schema import Schema

BY: dict[str, Any] = {"kind": "counter", "event": "click", "by": "item", "window": "7d"}
SCHEMA = Schema.model_validate(
    {
        "columns": {
            "clicks": BY,
            "price": "numeric",
            "rate": {**BY, "per": "impression"},
            "rank": {**BY, "window": "1h", "transform": "quantile"},
        }
    }
)
LOGGED = Standardised(mean=0.7, sd=0.3, log1p=True, clip=4.0)
STATES: dict[str, Any] = {
    "clicks": ScaledCount(number=LOGGED),
    "price": Standardised(mean=3.0, sd=2.0),
    "rate": ScaledCount(number=Standardised(mean=0.1, sd=0.05, clip=10.0), rate=0.13, prior=7.0),
    "rank": ScaledCount(number=QuantileRanked(points=(0.0, 3.0, 9.0), quantiles=(0.1, 0.5, 1.0))),
}


def test_counts_are_encoded_as_in_training() -> None:
    counts = CountEncoder(Encoder(SCHEMA, STATES, {}))
    assert counts.side.columns == ("clicks", "rate", "rank")
    random = np.random.default_rng(0)
    found = {count: random.integers(0, 60, 300) for count in SCHEMA.counts()}
    raw = pl.DataFrame({count.column: numbers for count, numbers in found.items()})
    cleaned = Cleaner(counts.side.schema, with_labels=False).clean(Chunk(raw, "rows", 0, 0))
    expected, batch = counts.side.encode(cleaned), counts.encode(found, 300)
    assert batch.numbers.dtype == expected.numbers.dtype
    assert batch.numbers.numpy().tobytes() == expected.numbers.numpy().tobytes()
    assert batch.codes.shape == expected.codes.shape == (300, 0)
    assert len({tuple(row) for row in batch.numbers.T.tolist()}) == 3


class Doubled(Counter):
    """Encodes counts in its own way."""

    def coder(self, state: ScaledCount) -> Callable[[pl.Series], Any]:
        encode = super().coder(state)
        return lambda values: 2 * encode(values)


def test_a_kind_made_of_a_counter_goes_the_way_of_files() -> None:
    columns = {**SCHEMA.columns, "rank": Doubled.model_validate({**BY, "window": "1h"})}
    schema = SCHEMA.model_copy(update={"columns": columns})
    counts = CountEncoder(replace(Encoder(SCHEMA, STATES, {}), schema=schema))
    assert counts.side.columns == ("clicks", "rate")


def test_a_schema_without_counters_has_nothing_to_encode() -> None:
    batch = CountEncoder(Encoder(SCHEMA.part(["price"]), STATES, {})).encode({}, 5)
    assert batch.numbers.shape == (5, 0)
