"""The clock of each time column of a source."""

from collections.abc import Iterator, Sequence

import polars as pl
import pytest

from crosstower.data.sources.source import Chunk
from crosstower.data.times.clocks import clocks_of, fit_clock
from crosstower.errors import DataError
from crosstower.recipe.data import Data
from crosstower.recipe.times import TimeFormat


class Chunks:
    """A source of chunks that counts how often it is read."""

    def __init__(self, *frames: pl.DataFrame) -> None:
        self.frames, self.reads, self.name = frames, 0, "rows"

    def columns(self) -> list[str]:
        return self.frames[0].columns

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        self.reads += 1
        first = 0
        for frame in self.frames:
            yield Chunk(frame.select(columns), "rows", first, first)
            first += frame.height


def chunks(*values: list[object]) -> Chunks:
    return Chunks(*(pl.DataFrame({"ts": v, "other": v}) for v in values))


def test_all_chunks_decide_together() -> None:
    """The first chunk alone could be seconds or an order; the second says that they are not."""
    clock = fit_clock(chunks([1_700_000_000], [1_700_000_060]), "ts")
    assert clock.read(pl.Series("ts", [1_700_000_000])).to_list() == [1_700_000_000 * 10**9]


def test_a_missing_column_is_named_with_the_likely_one() -> None:
    with pytest.raises(DataError, match=r"'tss'.*did you mean 'ts'"):
        fit_clock(chunks([1]), "tss")


def test_a_bad_time_is_an_error_unless_rows_may_be_skipped() -> None:
    source = chunks(["2024-03-01"], ["soon"])
    with pytest.raises(DataError, match="soon"):
        fit_clock(source, "ts")
    clock = fit_clock(source, "ts", strict=False)
    assert clock.read(pl.Series("ts", ["soon", "2024-03-01"])).null_count() == 1


def test_a_column_is_read_once_with_the_recipes_format() -> None:
    source = chunks(["01.03.2024"])
    data = Data(path="x", times={"ts": TimeFormat(format="%d.%m.%Y")})
    clock_of = clocks_of(data, source)
    assert clock_of("ts") is clock_of("ts")
    assert source.reads == 1
    assert "%d.%m.%Y" in clock_of("ts").words
