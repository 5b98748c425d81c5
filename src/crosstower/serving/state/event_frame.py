"""Events in memory, with the columns that a training run needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import polars as pl

from crosstower.serving.state.event_columns import Kinds, id_column
from crosstower.serving.state.event_log import Selection, last_event, read
from crosstower.serving.state.state import State
from crosstower.values.ids import text_of_value

_FIXED = ("event_id", "type", "time", "request_id", "user", "item_id", "rank", "value")
_JSON = ("query", "attributes")
_TYPES = {
    "event_id": pl.String(),
    "type": pl.String(),
    "request_id": pl.String(),
    "rank": pl.Int64(),
    "value": pl.Float64(),
}
_CACHED = 100_000  # texts of JSON that are parsed once: ids, and queries of lists


def events_frame(state: State, types: Sequence[str], keys: Sequence[str]) -> pl.DataFrame:
    """Return all events of some types, in the order of arrival.

    Args:
        state: of the server.
        types: of the events.
        keys: of `query` and `attributes` that become columns, such as `query.device`.

    Returns:
        Columns as in `crosstower events`, without the JSON of `query` and `attributes`. A key of
        which no event has a value has no column. Values without a common type are text, so that
        one event cannot hide those of all others.

    Raises:
        ServeError: the state is damaged.

    """
    selection = Selection(None, None, tuple(types), last_event(state.database))
    chunks = list(read(state.database, selection, (*_FIXED, *_JSON)))
    cells = list(zip(*chain.from_iterable(chunks), strict=True)) or [()] * 10
    named = dict[str, tuple[Any, ...]](zip((*_FIXED, *_JSON), cells, strict=True))
    value = lru_cache(_CACHED)(_value)
    columns = [pl.Series(name, named[name], kind) for name, kind in _TYPES.items()]
    columns.append(pl.Series("time", named["time"], pl.Int64).cast(pl.Datetime("us", "UTC")))
    columns += [_ids(name, [value(text) for text in named[name]]) for name in ("user", "item_id")]
    for name in _JSON:
        columns += _flat(name, named[name], keys)
    return pl.DataFrame(columns)


def _ids(name: str, ids: list[Any]) -> pl.Series:
    whole = all(value is None or type(value) is int for value in set(ids))
    return id_column(name, ids, pl.Int64() if whole else None)


def _flat(name: str, texts: Sequence[str | None], keys: Sequence[str]) -> Iterator[pl.Series]:
    """Yield the columns of keys; a text without any of them is not parsed."""
    marks = [f"{json.dumps(key, ensure_ascii=False)}:" for key in keys]

    @lru_cache(_CACHED)
    def parsed(text: str) -> dict[str, Any]:
        return json.loads(text) if any(mark in text for mark in marks) else {}

    rows = [{} if text is None else parsed(text) for text in texts]
    for key in keys:
        values, kinds = [row.get(key) for row in rows], Kinds()
        for value in values:
            if value is not None:
                kinds.see({key: value})
        if key in kinds.types():
            yield _column(f"{name}.{key}", values, kinds.types()[key])


def _column(name: str, values: list[Any], kind: pl.DataType | None) -> pl.Series:
    """Return values as a column, of text or lists of text if they have no type in common."""
    if kind is not None:
        return pl.Series(name, values, kind)
    if all(value is None or isinstance(value, list) for value in values):
        lists = [None if value is None else [_text(part) for part in value] for value in values]
        return pl.Series(name, lists, pl.List(pl.String()))
    return pl.Series(name, [_text(value) for value in values], pl.String())


def _text(value: Any) -> str | None:
    """Return the canonical text of a value, JSON of a list or an object."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return text_of_value(value)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
