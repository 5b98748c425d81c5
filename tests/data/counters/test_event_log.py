"""Event logs read into types, times and keys: files, several logs, repeated ids, wrong types."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.data.counters.event_log import Events, read_events
from crosstower.data.counters.keys import hashes_of, keys_of
from crosstower.data.sources import formats
from crosstower.data.sources.source import FrameSource
from crosstower.errors import DataError
from crosstower.recipe.recipe import Recipe

COLUMNS = {
    "clicks": {"kind": "counter", "event": "click", "by": "item_id", "window": "1h"},
    "views": {"kind": "counter", "event": ["view", "click"], "by": "item_id", "window": "1h"},
}
SECOND = 10**9
ROWS = pl.DataFrame({"time": [1_700_000_000] * 2, "item_id": [1, 2], "click": [1, 0]})


def recipe_of(events: Any, **data: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "data": {"events": events, "time": "time", **data},
            "schema": {"columns": COLUMNS, "tasks": {"click": "binary"}},
        }
    )


def read(events: Any, **data: Any) -> Events:
    return read_events(recipe_of(events, **data), lambda: FrameSource(ROWS), "time")


def log_of(**changed: Any) -> pl.DataFrame:
    columns = {
        "type": ["view", "click", "buy", None],
        "time": [1_700_000_003, 1_700_000_001, 1_800_000_000, 1_700_000_002],
        "item_id": [1, 2, 2, 2],
    }
    return pl.DataFrame(columns | changed)


def test_a_log_need_not_be_sorted_and_is_read_to_its_end(tmp_path: Path) -> None:
    log_of().write_parquet(tmp_path / "log.parquet")
    events = read(str(tmp_path / "log.parquet"))
    assert events.until == 1_800_000_000 * SECOND
    clicks, views = recipe_of([]).schema_.counts()
    keys, times = events.of(clicks)
    assert times.tolist() == [1_700_000_001 * SECOND]
    assert keys.tolist() == keys_of([hashes_of(pl.Series([2]))]).tolist()
    assert sorted(events.of(views)[1] // SECOND) == [1_700_000_001, 1_700_000_003]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "folder"])
def test_formats_are_those_of_rows(suffix: str, tmp_path: Path) -> None:
    path, log = tmp_path / f"log.{suffix}", log_of()
    if suffix == "csv":
        log.write_csv(path)
    elif suffix == "parquet":
        log.write_parquet(path)
    elif suffix == "arrow":
        log.write_ipc(path)
    else:
        path.mkdir()
        log[:2].write_parquet(path / "0.parquet")
        log[2:].write_parquet(path / "1.parquet")
    assert len(read(str(path)).times) == 2


def test_an_event_id_counts_once_over_all_logs(tmp_path: Path) -> None:
    log_of(event_id=["a", "b", "c", "d"]).write_parquet(tmp_path / "1.parquet")
    log_of(event_id=["x", "b", None, None]).write_parquet(tmp_path / "2.parquet")
    both = read([str(tmp_path / "1.parquet"), {"path": str(tmp_path / "2.parquet")}])
    assert sorted(both.times // SECOND - 1_700_000_000) == [1, 3, 3]


def test_events_without_an_id_all_count(tmp_path: Path) -> None:
    log = log_of(type=["click", "click", "view", "click"], event_id=[None, "b", None, "b"])
    log.write_parquet(tmp_path / "log.parquet")
    assert len(read([str(tmp_path / "log.parquet"), "rows"]).times) == 4  # 3 and a click of rows


def test_rows_of_a_file_are_events(tmp_path: Path) -> None:
    log_of().write_parquet(tmp_path / "log.parquet")
    ROWS.with_columns(click=pl.lit(1)).write_parquet(tmp_path / "rows.parquet")
    logs = [str(tmp_path / "log.parquet"), {"path": str(tmp_path / "rows.parquet"), "rows": True}]
    assert len(read(logs).times) == 4


def test_types_may_be_numbers(tmp_path: Path) -> None:
    log_of(type=[0, 1, 1, 2]).write_parquet(tmp_path / "log.parquet")
    columns = {"n": {"kind": "counter", "event": "1", "by": "item_id", "window": "1h"}}
    recipe = recipe_of(str(tmp_path / "log.parquet"))
    recipe = Recipe.model_validate(
        {"data": recipe.data.model_dump(), "schema": {"columns": columns, "tasks": {"c": "binary"}}}
    )
    assert len(read_events(recipe, lambda: FrameSource(ROWS), "time").times) == 2


class TestFaults:
    def test_a_type_that_no_log_has(self, tmp_path: Path) -> None:
        log_of(type=["views", "click", "buy", "buy"]).write_parquet(tmp_path / "log.parquet")
        with pytest.raises(DataError) as error:
            read(str(tmp_path / "log.parquet"))
        assert str(error.value) == (
            "data.events: no event of type 'view', which column 'views' reads; did you mean"
            " 'views'?; the types are: buy, click, views"
        )
        with pytest.raises(DataError, match=r"no event of type 'view'.*types are: click, imp"):
            read("rows")

    def test_a_type_column_of_ids(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(formats, "CHUNK_ROWS", 1_000)
        count = 3_000
        columns = {
            "type": [f"t{n}" for n in range(count - 2)] + ["view", "click"],
            "time": [1_700_000_000] * count,
            "item_id": [1] * count,
        }
        pl.DataFrame(columns).write_parquet(tmp_path / "log.parquet", row_group_size=1_000)
        assert len(read(str(tmp_path / "log.parquet")).times) == 2
        pl.DataFrame(columns).head(2_500).write_parquet(tmp_path / "log.parquet")
        with pytest.raises(DataError, match=r"types are: t0, t1, t10, .*, [.]{3}$"):
            read(str(tmp_path / "log.parquet"))

    def test_a_log_without_times(self, tmp_path: Path) -> None:
        log_of().drop("time").write_parquet(tmp_path / "log.parquet")
        with pytest.raises(DataError, match=r"log.parquet: no column 'time'"):
            read(str(tmp_path / "log.parquet"))
        log_of(time=[1_700_000_000, None, 1, 2]).write_parquet(tmp_path / "log.parquet")
        with pytest.raises(DataError, match=r"column 'time': expected a time, got nothing in"):
            read(str(tmp_path / "log.parquet"))
        log_of(time=[3, 2, 1, 0]).write_parquet(tmp_path / "log.parquet")
        with pytest.raises(DataError, match="only order its rows"):
            read(str(tmp_path / "log.parquet"))

    def test_events_without_a_time_are_left_out_and_counted(self, tmp_path: Path) -> None:
        log = log_of(time=[1_700_000_000, None, 1_700_000_001, None], type=["view", "click"] * 2)
        log.write_parquet(tmp_path / "log.parquet")
        with pytest.warns(match="events left out, as they have no time: 2"):
            assert len(read(str(tmp_path / "log.parquet"), on_bad_rows="skip").times) == 2

    @pytest.mark.parametrize("content", [b"", b"PAR1 nonsense"])
    def test_a_damaged_log(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "log.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"data\.events: .*log\.parquet"):
            read(str(tmp_path / "log.parquet"))
