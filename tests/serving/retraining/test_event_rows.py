from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.retrieval.run_files import SEEN_ITEMS, USER
from crosstower.serving.retraining.event_rows import (
    Origins,
    complete_rows,
    histories,
    last_columns,
    missing_notes,
    user_columns,
    with_columns,
)
from crosstower.serving.state.state import State

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_value_comes_from_the_first_origin_that_has_it() -> None:
    rows = pl.DataFrame(
        {
            "user": [1, 1, 2, 3, None],
            "item_id": ["7", "8", "9", "7", None],
            "query.device": ["tv", None, None, None, None],
            "attributes.device": [None, "pc", None, None, None],
            "attributes.score": [0.5] * 5,
            "attributes.price": [9.5, None, None, None, None],
        }
    )
    items = pl.DataFrame({"film": [7, 8], "price": [1, 2], "score": [10, 20]})
    put = pl.DataFrame({USER: ["1", "2"], "device": [None, "phone"], "country": ["FR", None]})
    last = pl.DataFrame({USER: [2, 3], "device": ["watch", "watch"], "country": ["DE", "IT"]})
    names = {"who": "user", "film": "item_id"}
    needed = ["who", "film", "device", "price", "score", "country", "other"]
    found = with_columns(rows, needed, Origins(names, items, "film", [put, last]))
    assert found["who"].to_list() == [1, 1, 2, 3, None]
    assert found["film"].to_list() == ["7", "8", "9", "7", None]
    assert found["device"].to_list() == ["tv", "pc", "phone", "watch", None]
    assert found["price"].to_list() == [9.5, 2.0, None, 1.0, None]
    assert found["score"].to_list() == [10, 20, None, 10, None]  # not the server's score
    assert found["country"].to_list() == ["FR", "FR", "DE", "IT", None]
    (note,) = missing_notes(found, needed)
    assert note.startswith("column 'other' is missing in all new rows: send it in query or")


def test_columns_named_like_those_of_events_are_not_taken_from_events() -> None:
    rows = pl.DataFrame({"type": ["impression"], "item_id": ["7"], "rank": [3], "value": [None]})
    items = pl.DataFrame({"film": ["7"], "type": ["series"], "rank": [12], "value": [9.5]})
    found = with_columns(rows, ["type", "rank", "value"], Origins({}, items, "film", []))
    assert found.select("type", "rank", "value").row(0) == ("series", 12, 9.5)


def test_rows_that_lack_a_required_column_are_left_out_and_counted() -> None:
    rows = pl.DataFrame(
        {"weight": [1.0, None, 2.0], "search": [None, "a", "b"], "none": [None] * 3}
    )
    found, notes = complete_rows(rows, {"weight": "W", "search": "training.group", "joined": "J"})
    assert found["search"].to_list() == ["b"]
    assert notes == (
        "rows left out, as they lack 'weight' (W): 1",
        "rows left out, as they lack 'search' (training.group): 1",
    )
    assert complete_rows(rows.clear(), {"none": "blend.amount"})[1] == ()
    match = r"^column 'none' \(blend.amount\) is missing in all 3 rows of events: send it in query"
    with pytest.raises(DataError, match=match):
        complete_rows(rows, {"none": "blend.amount"})


def test_labels_stay_and_types_without_a_common_one_become_text() -> None:
    rows = pl.DataFrame({"user": [1, 2], "item_id": [1, 1], "click": [1.0, 0.0],
                         "query.size": [3, None]})  # fmt: skip
    put = pl.DataFrame({USER: ["2"], "size": [True], "click": [5.0]})
    found = with_columns(rows, ["click", "size"], Origins({"click": "click"}, None, None, [put]))
    assert found["click"].to_list() == [1.0, 0.0]
    assert found["size"][0] in (3, "3")
    assert found["size"][1] in ("true", 1)


def test_attributes_of_users_are_read_from_the_state(tmp_path: Path) -> None:
    with State.open(tmp_path) as state:
        assert user_columns(state, ["age"]).columns == [USER]
        state.put_users({42: {"age": 3, "home": "Rome"}, "b": {"home": None}})
        found = user_columns(state, ["age", "home", "size"])
    assert found.to_dict(as_series=False) == {
        USER: ["42", "b"],
        "age": [3, None],
        "home": ["Rome", None],
    }


def test_last_rows_are_without_histories() -> None:
    users = pl.DataFrame({USER: [1], SEEN_ITEMS: [[3]], "device": ["tv"]})
    assert last_columns(users).columns == [USER, "device"]


@pytest.mark.parametrize("seed", range(20))
def test_histories_are_the_users_earlier_items(seed: int) -> None:
    random = np.random.default_rng(seed)

    def frame(rows: int) -> pl.DataFrame:
        times = [START + timedelta(seconds=int(n)) for n in random.integers(0, 20, rows)]
        users = random.choice(["7", "b", "c", ""], rows).tolist()
        return pl.DataFrame(
            {
                "u": [None if u == "" else u for u in users],
                "i": random.integers(0, 9, rows),
                "t": [None if random.random() < 0.1 else t for t in times],
            },
            schema_overrides={"t": pl.Datetime("us", "UTC"), "u": pl.String},
        )

    log, rows = frame(int(random.integers(0, 60))), frame(30)
    rows = rows.filter(pl.col("t").is_not_null())
    found = histories(rows, log, user="u", item="i", time="t", length=3)
    expected = []
    for row in rows.iter_rows(named=True):
        mine = [
            (r["t"] or START - timedelta(days=1), n, r["i"])
            for n, r in enumerate(log.iter_rows(named=True))
            if row["u"] is not None and r["u"] == row["u"] and (r["t"] is None or r["t"] < row["t"])
        ]
        expected.append([item for _, _, item in sorted(mine)[-3:]])
    assert found.to_list() == expected
    ordered = log.sort("t", nulls_last=False, maintain_order=True).with_row_index("n")
    places = histories(rows, ordered, user="u", item="n", time="t", length=3)
    times = histories(rows, ordered, user="u", item="t", time="t", length=3)
    assert times.to_list() == [[ordered["t"][n] for n in some] for some in places.to_list()]


def test_ids_of_both_sides_may_have_other_types() -> None:
    log = pl.DataFrame({"u": [7], "i": ["x"], "t": [START]})
    rows = pl.DataFrame({"u": ["7"], "t": [START + timedelta(seconds=1)]})
    assert histories(rows, log, user="u", item="i", time="t", length=3).to_list() == [["x"]]
