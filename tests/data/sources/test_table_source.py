from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from crosstower.data.sources import table_source
from crosstower.data.sources.table_source import TableSource
from crosstower.errors import DataError


def batches(columns: Sequence[str]) -> Iterator[Any]:
    table = pa.table({"i": range(7), "x": [str(i) for i in range(7)]}).select(list(columns))
    yield from table.to_batches(max_chunksize=5)


def test_rows_come_in_numbered_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_source, "CHUNK_ROWS", 3)
    source = TableSource("lake", ("i", "x"), batches)
    chunks = list(source.chunks(["x", "i"]))
    assert [(c.first_row, c.index, c.frame.height) for c in chunks] == [
        (0, 0, 3),
        (3, 3, 2),
        (5, 5, 2),
    ]
    assert pl.concat([c.frame for c in chunks])["i"].to_list() == list(range(7))
    assert sum(c.frame.height for c in source.chunks(["i"])) == 7


def test_a_fault_of_the_library_names_the_table() -> None:
    def broken(_: Sequence[str]) -> Iterator[Any]:
        yield from batches(["i"])
        raise RuntimeError("connection reset\nat line 7")

    source = TableSource("s3://lake/clicks", ("i",), broken)
    with pytest.raises(DataError, match="s3://lake/clicks: cannot be read: connection reset; chec"):
        list(source.chunks(["i"]))
