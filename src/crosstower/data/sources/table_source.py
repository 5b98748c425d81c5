"""Rows of a table format, read in record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from crosstower.data.sources.formats import CHUNK_ROWS, Chunk, refuse_missing
from crosstower.data.sources.frames import from_arrow
from crosstower.errors import DataError, first_line


@dataclass(frozen=True)
class TableSource:
    """One version of a table. Its files are read in the order of their names.

    Args:
        name: of the source in messages.
        names: of the columns.
        batches: returns record batches of the given columns.

    """

    name: str
    names: tuple[str, ...]
    batches: Callable[[Sequence[str]], Iterator[Any]]

    def columns(self) -> list[str]:
        """Return the column names."""
        return list(self.names)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows.

        Raises:
            DataError: a column is missing, or a file cannot be read.

        """
        refuse_missing(columns, list(self.names), self.name)
        row = 0
        for batch in self._batches(columns or self.names[:1]):
            for start in range(0, batch.num_rows, CHUNK_ROWS):
                frame = from_arrow(batch.slice(start, CHUNK_ROWS)).select(columns)
                yield Chunk(frame, self.name, row, row)
                row += frame.height

    def _batches(self, columns: Sequence[str]) -> Iterator[Any]:
        try:
            yield from self.batches(columns)
        except DataError:
            raise
        except Exception as error:  # of the table library, each of its own kind
            raise DataError(
                f"{self.name}: cannot be read: {first_line(error)}; check the table, the"
                " credentials in the environment, and the network"
            ) from error
