"""Division of a source into pieces that are read on their own, each row with its number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from crosstower.data.counters.counted_source import CountedSource
from crosstower.data.reading import PartsSource
from crosstower.data.sources.formats import DataFile, FileSource
from crosstower.data.sources.joins import JoinedSource, KeyCounts
from crosstower.data.sources.row_ranges import RangeSource, rows_in
from crosstower.data.sources.source import Chunk, FrameSource, Source

PIECE_ROWS = 1 << 20

Counting = Callable[[Sequence[Source]], Iterable[int]]
"""Returns the number of rows of each source, which is read for it."""


@dataclass(frozen=True)
class Piece:
    """Rows of `base`, numbered as they are in the whole source.

    Args:
        base: some of the rows.
        first_row: number of the first one in its file or frame.
        index: number of the first one in the whole source.

    """

    base: Source
    first_row: int
    index: int

    @property
    def name(self) -> str:
        """Name of the source in messages."""
        return self.base.name

    def columns(self) -> list[str]:
        """Return the column names."""
        return self.base.columns()

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows with their numbers."""
        for chunk in self.base.chunks(columns):
            yield replace(
                chunk,
                first_row=self.first_row + chunk.first_row,
                index=self.index + chunk.index,
            )


@dataclass(frozen=True)
class _Part:
    """A source of `rows` rows (None if they have to be counted) from `first_row` of its file on."""

    source: Source
    rows: int | None
    first_row: int = 0


def pieces_of(source: Source, counting: Counting, *, rows: int = PIECE_ROWS) -> list[Piece]:
    """Return sources that together have the rows of a source, in their order.

    Parquet files are divided by rows. A CSV or Arrow file is one piece, as is a source that cannot
    be divided.

    Args:
        source: the rows.
        counting: counts the rows of sources that have to be read for it.
        rows: approximate size of a piece.

    """
    parts = _parts_of(source, rows)
    last = len(parts) - 1
    unknown = [part for part in parts[:last] if part.rows is None]
    counted = iter(counting([part.source for part in unknown]) if unknown else ())
    pieces, index = list[Piece](), 0
    for number, part in enumerate(parts):
        pieces.append(Piece(part.source, part.first_row, index))
        if number < last:
            index += next(counted) if part.rows is None else part.rows
    return pieces


def rows_of(source: Source) -> int:
    """Return the number of rows of a source, which is read for it."""
    return sum(chunk.frame.height for chunk in source.chunks(source.columns()[:1]))


def _parts_of(source: Source, rows: int) -> list[_Part]:
    match source:
        case FileSource(files=files, name=name):
            return [part for file in files for part in _parts_of_file(file, name, rows)]
        case FrameSource(frame=frame, name=name):
            cuts = [(s, frame[s : s + rows]) for s in range(0, frame.height, rows)]
            return [_Part(FrameSource(part, name), part.height, s) for s, part in cuts]
        case PartsSource(parts=divided):
            return [
                replace(part, source=PartsSource({split: part.source}))
                for split, one in divided.items()
                for part in _parts_of(one, rows)
            ]
        case JoinedSource(base=base):
            return [
                replace(part, source=replace(source, base=part.source, counts=KeyCounts()))
                for part in _parts_of(base, rows)
            ]
        case CountedSource(base=base):
            return [
                replace(part, source=source.over(part.source)) for part in _parts_of(base, rows)
            ]
        case _:
            return [_Part(source, None)]


def _parts_of_file(file: DataFile, name: str, rows: int) -> list[_Part]:
    count = rows_in(file)
    if count is None:
        return [_Part(FileSource((file,), name), None)]
    cuts = [(start, min(start + rows, count)) for start in range(0, count, rows)]
    return [_Part(RangeSource(file, start, stop), stop - start) for start, stop in cuts]


@dataclass
class Matches:
    """Matches of joins and counters in pieces, added up."""

    joins: list[KeyCounts]
    counts: dict[str, tuple[int, int]]

    @staticmethod
    def of(source: Source) -> Matches:
        """Return the matches of the last pass over a source."""
        found = Matches([], {})
        for one in _chain(source):
            if isinstance(one, JoinedSource):
                found.joins.append(one.counts)
            elif isinstance(one, CountedSource):
                found.counts |= one.found
        return found

    def merge(self, other: Matches) -> None:
        """Add the matches of the next piece."""
        for mine, theirs in zip(self.joins, other.joins, strict=True):
            mine.merge(theirs)
        for name, (rows, found) in other.counts.items():
            before = self.counts.get(name, (0, 0))
            self.counts[name] = (before[0] + rows, before[1] + found)

    def put(self, source: Source) -> None:
        """Make these the matches of a source's last pass."""
        joins = iter(self.joins)
        for one in _chain(source):
            if isinstance(one, JoinedSource):
                vars(one.counts).update(vars(next(joins)))
            elif isinstance(one, CountedSource):
                one.found.update(self.counts)


def _chain(source: Source | None) -> Iterator[Source]:
    while source is not None:
        yield source
        source = getattr(source, "base", None)
