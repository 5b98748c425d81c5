"""Rentals: a search, a catalogue and their relevance."""

import numpy as np
import polars as pl

from crosstower.data.datasets.worlds import make
from crosstower.data.datasets.worlds.rentals import rental_relevance

ROWS = 100_000


def test_the_relevance_of_rentals_can_be_asked_of_any_search_and_listing() -> None:
    frame = make("rentals", rows=ROWS).frame
    found = rental_relevance(frame.drop("relevance"))
    np.testing.assert_allclose(found, frame["relevance"], atol=1e-3)  # budgets are rounded to cents
    other = frame.with_columns(wanted=pl.lit("no such amenity"), home_city=pl.lit("Nowhere"))
    assert (rental_relevance(other) <= found).all()
