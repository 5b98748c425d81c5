"""Pieces have the rows of the whole source, each with its number and the place in its file."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
import pytest

from crosstower.data.reading import PartsSource
from crosstower.data.source_pieces import Matches, pieces_of, rows_of
from crosstower.data.sources.joins import join, join_matches
from crosstower.data.sources.source import FrameSource, Source, open_source

ONE_EACH = ("csv", "arrow")
FRAME = pl.DataFrame({"n": range(100), "key": [i % 7 for i in range(100)]})


def counting(sources: Sequence[Source]) -> Iterable[int]:
    return map(rows_of, sources)


def rows(sources: Iterable[Source]) -> list[tuple[str, int, int, int]]:
    """Return the file, the row in it, the number and the value of each row."""
    return [
        (Path(chunk.origin).name, chunk.first_row + i, chunk.index + i, value)
        for source in sources
        for chunk in source.chunks(["n"])
        for i, value in enumerate(chunk.frame["n"].cast(pl.Int64))
    ]


@pytest.fixture(params=["frame", "parquet", "arrow", "csv", "parts"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    cuts = [(0, 33), (33, 34), (34, 100)]
    for number, (begin, end) in enumerate(cuts):
        part, name = FRAME[begin:end], tmp_path / f"{number}"
        match request.param:
            case "parquet" | "parts":
                part.write_parquet(f"{name}.parquet", row_group_size=10)
            case "arrow":
                part.write_ipc(f"{name}.arrow", record_batch_size=10)
            case "csv":
                part.write_csv(f"{name}.csv")
    if request.param == "frame":
        return FrameSource(FRAME)
    if request.param == "parts":
        files = {"train": "0", "valid": "1", "test": "2"}
        return PartsSource(
            {s: open_source(tmp_path / f"{name}.parquet") for s, name in files.items()}
        )
    return open_source(tmp_path)


@pytest.mark.parametrize("size", [10, 1_000])
def test_pieces_are_the_rows_of_the_source(
    request: pytest.FixtureRequest, source: Source, size: int
) -> None:
    pieces = pieces_of(source, counting, rows=size)
    assert rows(pieces) == rows([source])
    assert all(piece.columns() == source.columns() for piece in pieces)
    if size == 10:
        divided = 10 if request.node.callspec.params["source"] == "frame" else 4 + 1 + 7
        assert len(pieces) == (3 if request.node.callspec.params["source"] in ONE_EACH else divided)


def test_matches_of_joins_add_up(source: Source) -> None:
    table = pl.DataFrame({"key": [0, 1, 2], "more": ["a", "b", "c"]})
    whole, divided = join(source, table, on="key"), join(source, table, on="key")
    values = [c.frame["more"] for c in whole.chunks(["more"])]
    parts, found = list[pl.Series](), list[Matches]()
    for piece in pieces_of(divided, counting, rows=20):
        parts += [c.frame["more"] for c in piece.chunks(["more"])]
        found.append(Matches.of(piece))
    for later in found[1:]:
        found[0].merge(later)
    found[0].put(divided)
    assert pl.concat(parts).equals(pl.concat(values))
    assert join_matches(divided) == join_matches(whole)
    assert divided.counts.strangers == whole.counts.strangers


def test_a_source_without_parts_is_one_piece() -> None:
    class Plain:
        name = "plain"

        def columns(self) -> list[str]:
            return ["n"]

        def chunks(self, columns: Sequence[str]) -> Iterable[object]:
            return FrameSource(FRAME).chunks(columns)

    (piece,) = pieces_of(Plain(), counting)  # type: ignore[arg-type]
    assert [value for *_, value in rows([piece])] == list(range(100))
