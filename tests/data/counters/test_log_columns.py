"""Where the columns of keys stand in a log: named, under their name, in properties, in tables."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.data.counters.log_columns import EVENT_ID, TIME, TYPE, open_log, open_path
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv
from crosstower.recipe.data import Data
from crosstower.recipe.events import EventLog

EXPORT = {
    "event_id": ["e1", "e2"],
    "type": ["click", "view"],
    "time": [1_700_000_000, 1_700_000_001],
    "user": [1, 2],
    "item_id": [7, 9],
    "query.device": ["web", "app"],
    "attributes.topic": ["old", "old"],
    "attributes.device": ["x", "y"],
}


def opened(
    folder: Path, keys: list[str], log: dict[str, Any], data: dict[str, Any] | None = None
) -> pl.DataFrame:
    path = folder / "log.parquet"
    pl.DataFrame(EXPORT).write_parquet(path)
    options = EventLog.model_validate({"path": str(path), **log})
    source = open_log(open_path(str(path), Csv()), options, Data.model_validate(data or {}), keys)
    return pl.concat([chunk.frame for chunk in source.chunks(source.columns())])


def test_a_named_column_and_one_of_its_name(tmp_path: Path) -> None:
    frame = opened(tmp_path, ["user_id", "item_id"], {"columns": {"user_id": "user"}})
    assert frame.columns == [TYPE, TIME, EVENT_ID, "user_id", "item_id"]
    assert frame["user_id"].to_list() == [1, 2]
    assert frame[TYPE].to_list() == ["click", "view"]


def test_properties_of_an_export(tmp_path: Path) -> None:
    assert opened(tmp_path, ["topic"], {})["topic"].to_list() == ["old", "old"]
    with pytest.raises(DataError, match=r"'device' may be 'query.device' or 'attributes.device'"):
        opened(tmp_path, ["device"], {})
    named = {"columns": {"device": "query.device"}}
    assert opened(tmp_path, ["device"], named)["device"].to_list() == ["web", "app"]


def test_the_type_of_events_is_a_key_only_if_the_log_says_so(tmp_path: Path) -> None:
    """A server finds a key `type`, such as that of an item, in events' properties and items."""
    with pytest.raises(DataError, match=r"no column 'type', .* the columns are: event_id, user,"):
        opened(tmp_path, ["type"], {})
    found = opened(tmp_path, ["type"], {"columns": {"type": "attributes.topic"}})
    assert found["type"].to_list() == ["old", "old"]
    assert opened(tmp_path, ["type"], {"columns": {"type": "type"}})["type"][0] == "click"


class TestJoinedTables:
    @pytest.fixture
    def data(self, tmp_path: Path) -> dict[str, Any]:
        items = {"item_id": [7, 8, 9], "topic": ["a", "b", "c"], "type": ["x", "y", "z"]}
        groups = {"topic": ["a", "b", "c"], "group": [1, 1, 2]}
        pl.DataFrame(items).write_parquet(tmp_path / "items.parquet")
        pl.DataFrame(groups).write_parquet(tmp_path / "groups.parquet")
        pl.DataFrame({"place": [1], "city": ["Rome"]}).write_parquet(tmp_path / "places.parquet")
        tables = [("items", "item_id"), ("groups", "topic"), ("places", "place")]
        joins = [{"path": str(tmp_path / f"{name}.parquet"), "on": on} for name, on in tables]
        return {"joins": joins}

    def test_a_column_of_the_rows_table_comes_from_that_table(
        self, tmp_path: Path, data: dict[str, Any]
    ) -> None:
        frame = opened(tmp_path, ["topic", "group"], {}, data)
        assert frame["topic"].to_list() == ["a", "c"]
        assert frame["group"].to_list() == [1, 2]
        assert frame[TYPE].to_list() == ["click", "view"]  # the table has a column of that name

    def test_a_named_column_goes_first(self, tmp_path: Path, data: dict[str, Any]) -> None:
        frame = opened(tmp_path, ["topic"], {"columns": {"topic": "attributes.topic"}}, data)
        assert frame["topic"].to_list() == ["old", "old"]

    def test_a_table_whose_key_the_log_lacks(self, tmp_path: Path, data: dict[str, Any]) -> None:
        with pytest.raises(DataError, match="no column 'city', which a counter or a history"):
            opened(tmp_path, ["city"], {}, data)


class TestFaults:
    def test_a_column_that_the_log_lacks(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no column 'person'"):
            opened(tmp_path, ["user_id"], {"columns": {"user_id": "person"}})
        with pytest.raises(DataError, match="no column 'kind'"):
            opened(tmp_path, ["item_id"], {"type": "kind"})

    def test_a_name_that_is_no_key(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="'user_id' is read by no counter or history"):
            opened(tmp_path, ["item_id"], {"columns": {"user_id": "user"}})

    def test_a_log_that_is_not_there(self) -> None:
        with pytest.raises(DataError, match=r"data\.events: nowhere\.csv: no such file"):
            open_path("nowhere.csv", Csv())
