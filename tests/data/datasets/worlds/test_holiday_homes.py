"""Holiday homes: the formulas of clicks and bookings, and a taste that no row contains."""

import math
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.datasets.worlds import make
from crosstower.data.datasets.worlds.holiday_catalogue import holiday_homes_table
from crosstower.data.datasets.worlds.holiday_homes import (
    holiday_chances,
    holiday_revenue,
    travellers,
)

ROWS = 20_000


def plain_chances(row: dict[str, Any], user: dict[str, Any]) -> tuple[float, float]:
    """Return P(click) and P(booking) of one row from the formulas, one number at a time."""
    taste = 3 * (row["landscape"] == user["favourite"]) + 1.5 * (row["landscape"] == user["second"])
    taste += 0.8 * (user["wanted"] in row["features"])
    small = row["sleeps"] < row["guests"]
    dear = max(0.0, math.log(row["price"] / row["budget"]))
    click = -2.8 + taste + 0.6 * (row["photos"] - 3) - 1.5 * small
    booking = -1.5 + taste / 2 + 2 * (row["rating"] - 4.3) - 4 * dear - 3 * small
    return 1 / (1 + math.exp(-click)), 1 / (1 + math.exp(-booking))


def test_the_chances_follow_the_formulas() -> None:
    frame = make("holiday_homes", rows=400).frame
    users = {row["user_id"]: row for row in travellers().to_dicts()}
    expected = np.array([plain_chances(row, users[row["user_id"]]) for row in frame.to_dicts()])
    found = holiday_chances(frame)
    np.testing.assert_allclose(found.click, expected[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found.booking, expected[:, 1], rtol=1e-12)
    seen = expected[:, 0] / np.sqrt(frame["position"].to_numpy())
    np.testing.assert_allclose(frame["click_probability"], seen, rtol=1e-12)
    np.testing.assert_allclose(frame["booking_probability"], seen * expected[:, 1], rtol=1e-12)
    revenue = expected.prod(axis=1) * frame["price"].to_numpy()
    np.testing.assert_allclose(holiday_revenue(frame), revenue, rtol=1e-12)


def test_a_booking_needs_a_click_and_bookings_are_worth_learning_from() -> None:
    frame = make("holiday_homes", rows=ROWS).frame
    assert frame.filter(pl.col("booking") == 1)["click"].min() == 1
    assert frame["booking"].sum() > 0.01 * ROWS


def test_no_row_contains_the_taste_of_its_user() -> None:
    frame = make("holiday_homes", rows=10).frame
    assert not set(frame.columns) & {"favourite", "second", "wanted", "usual_budget"}
    users = travellers()
    assert users.equals(travellers())
    assert users["user_id"].n_unique() == users.height == 200
    assert (users["favourite"] != users["second"]).all()


def test_each_stage_has_something_to_win() -> None:
    # Lists of ten for the usual searches: by popularity, by taste, by clicks and by revenue.
    search = travellers().with_columns(guests="usual_guests", budget="usual_budget")
    rows = search.join(holiday_homes_table(), how="cross")
    shape = search.height, -1
    chances, revenue = holiday_chances(rows), holiday_revenue(rows).reshape(shape)
    click = chances.click.reshape(shape)
    popular = np.broadcast_to(click.mean(axis=0), click.shape)
    liked = rows.select(pl.col("landscape") == pl.col("favourite")).to_series().to_numpy()

    def value(score: np.ndarray) -> float:
        first = np.argsort(-score, axis=1)[:, :10]
        return float(np.take_along_axis(revenue, first, axis=1).sum(axis=1).mean())

    values = [value(s) for s in (popular, popular + liked.reshape(shape), click, revenue)]
    assert values[0] * 1.5 < values[1]
    assert values[1] * 1.1 < values[2]
    assert values[2] * 1.2 < values[3]
