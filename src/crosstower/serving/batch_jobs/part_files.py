"""Part files: Parquet files that appear whole and say which job wrote them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from crosstower.storage.files import replacing
from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.remote import input_file

_KEY = b"crosstower.part"
_GROUP_ROWS = 262_144


@dataclass(frozen=True)
class PartFacts:
    """Contents of the footer of a part file.

    Args:
        job: digest of the job that wrote it.
        read: rows read.
        written: rows written.
        counts: events of the job by name, such as unknown users.

    """

    job: str
    read: int
    written: int
    counts: dict[str, int] = field(default_factory=dict[str, int])


class PartWriter:
    """Writes the rows of a part, collected into row groups.

    `read` counts the rows read and `counts` the events of the job; the worker adds to both.

    Args:
        path: of the file.
        job: digest of the job.

    """

    def __init__(self, path: Path, job: str) -> None:
        self._path, self._job = path, job
        self.read, self.written, self.counts = 0, 0, Counter[str]()
        self._frames: list[pl.DataFrame] = []
        self._waiting = 0
        self._writer: parquet.ParquetWriter | None = None

    @property
    def facts(self) -> PartFacts:
        """Facts of the rows written so far."""
        return PartFacts(self._job, self.read, self.written, dict(self.counts))

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; all frames have the same columns, the first one decides their types."""
        self._frames.append(frame)
        self._waiting += frame.height
        self.written += frame.height
        if self._waiting >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the last rows and the footer."""
        self._flush()
        if self._writer is not None:
            facts = self.facts
            plain = {"job": facts.job, "read": facts.read, "written": facts.written}
            text = json.dumps(plain | {"counts": facts.counts})
            self._writer.add_key_value_metadata({_KEY: text.encode()})
            self._writer.close()

    def _flush(self) -> None:
        if not self._frames:
            return
        table = pl.concat(self._frames).to_arrow()
        self._frames, self._waiting = [], 0
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, table.schema, compression="zstd")
        # An all-null chunk would infer a different type.
        self._writer.write_table(table.cast(self._writer.schema))


@contextmanager
def part_file(path: Place, job: str) -> Generator[PartWriter]:
    """Give a writer; the file appears under its name once it is whole.

    Args:
        path: or address of the file.
        job: digest of the job.

    Raises:
        OSError: the file cannot be written, or the disk is full.

    """
    with replacing(path) as aside:
        part = PartWriter(aside, job)
        yield part
        part.close()


def read_facts(path: Place) -> PartFacts | None:
    """Return the footer of a part file; None if the file does not exist or is damaged.

    >>> read_facts(Path("nowhere.parquet"))
    """
    try:
        with _opened(path) as file:
            footer = parquet.read_metadata(file).metadata or {}
        plain: dict[str, Any] = json.loads(footer[_KEY])
        return PartFacts(plain["job"], plain["read"], plain["written"], plain["counts"])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None


def _opened(path: Place) -> Any:
    """Open a file for reading, as a context."""
    return input_file(path) if isinstance(path, Address) else pa.OSFile(str(path))
