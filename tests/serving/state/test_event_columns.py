"""Columns of exported events: types, own values, ids."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.serving.state import event_columns
from crosstower.serving.state.event_export import export_events

from .test_event_export import FIXED, kept


def queries(folder: Path, key: str, *values: Any) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the file, and the keys left in JSON, of events with these values under a key."""
    state = kept(folder, *({"query": {key: value}} for value in values))
    found = export_events(state, folder / "out.parquet")
    return pl.read_parquet(folder / "out.parquet"), found.only_json


def test_every_field_has_its_type_and_comes_back(tmp_path: Path) -> None:
    time = datetime(2026, 1, 31, 18, 30, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    full = {
        "type": "view",
        "time": time,
        "request_id": "r",
        "user": 7,
        "item_id": "é",
        "rank": 3,
        "value": 0.1,
        "query": {"context": "home", "age": 30},
        "attributes": {"price": 1.5},
    }
    state = kept(tmp_path, full, {"user": 2**63 - 1})
    found = export_events(state, tmp_path / "out.parquet")
    assert (found.counts, found.events, found.only_json) == ({"click": 1, "view": 1}, 2, ())
    table = pl.read_parquet(tmp_path / "out.parquet")
    flat = {
        "query.context": pl.String,
        "query.age": pl.Int64,
        "attributes.price": pl.Float64,
    }
    assert dict(table.schema) == FIXED | {"user": pl.Int64} | flat
    first, second = table.to_dicts()
    assert json.loads(first.pop("query")) == full["query"]
    assert json.loads(first.pop("attributes")) == full["attributes"]
    same = {k: v for k, v in full.items() if k not in ("query", "attributes")}
    assert first == {
        "event_id": "0",
        **same,
        "query.context": "home",
        "query.age": 30,
        "attributes.price": 1.5,
    }
    assert second["user"] == 2**63 - 1
    assert [k for k, v in second.items() if v is not None] == ["event_id", "type", "time", "user"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None, ""], pl.String),
        ([True, None, False], pl.Boolean),
        ([1, 2**63 - 1, -(2**63)], pl.Int64),
        ([1, 2.5, -(2**53)], pl.Float64),
        ([[1, 2], [], None, [None, 3]], pl.List(pl.Int64)),
        ([["a"], ["b", None]], pl.List(pl.String)),
        ([[1, 0.5], [2]], pl.List(pl.Float64)),
        ([[True]], pl.List(pl.Boolean)),
    ],
)
def test_values_of_one_type_get_a_column(tmp_path: Path, values: list[Any], kind: Any) -> None:
    table, left = queries(tmp_path, "key", *values)
    assert (table.schema["query.key"], left) == (kind, ())
    assert table["query.key"].to_list() == values


@pytest.mark.parametrize(
    "values",
    [
        [1, "1"],
        [1, True],
        [2**63],
        [2**53 + 1, 0.5],  # not exact as a float
        [{"a": 1}],
        [1, [1]],
        [[1], ["1"]],
        [[[1]]],
    ],
)
def test_other_values_stay_in_the_json_and_are_named(tmp_path: Path, values: list[Any]) -> None:
    table, left = queries(tmp_path, "a.b", *values)
    assert (dict(table.schema), left) == (FIXED, ("query.a.b",))
    assert [json.loads(text)["a.b"] for text in table["query"]] == values


@pytest.mark.parametrize("values", [[[]], [None, None]])
def test_keys_without_a_value_have_no_column_and_need_none(
    tmp_path: Path, values: list[Any]
) -> None:
    table, left = queries(tmp_path, "a.b", *values)
    assert (dict(table.schema), left) == (FIXED, ())
    assert [json.loads(text)["a.b"] for text in table["query"]] == values


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ([1, None, 3], pl.Int64),
        ([1, "1"], pl.Int64),  # the same id
        ([1, "x"], pl.String),
        ([2**63, 1], pl.String),
        (["a", None], pl.String),
        ([None], pl.String),
    ],
)
def test_ids_are_numbers_or_text(tmp_path: Path, ids: list[Any], kind: Any) -> None:
    state = kept(tmp_path, *({"user": i, "item_id": i} for i in ids))
    export_events(state, tmp_path / "out.parquet")
    table = pl.read_parquet(tmp_path / "out.parquet")
    for name in ("user", "item_id"):
        assert table.schema[name] == kind
        plain = [None if i is None else str(i) for i in ids]
        assert table[name].cast(pl.String).to_list() == plain


def test_only_the_most_frequent_keys_have_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_columns, "MOST_COLUMNS", 2)
    monkeypatch.setattr(event_columns, "MOST_KEYS", 4)
    many = [{"query": {"common": n, f"k{n}": n, "often": n}} for n in range(10)]
    found = export_events(kept(tmp_path, *many), tmp_path / "out.parquet")
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table.columns[-2:] == ["query.common", "query.often"]
    assert table["query.often"].to_list() == list(range(10))
    assert (found.only_json, found.more_keys) == (("query.k0", "query.k1"), True)
    assert [json.loads(text) for text in table["query"]] == [one["query"] for one in many]
