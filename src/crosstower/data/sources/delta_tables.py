"""Delta Lake tables, by delta-rs (extra "tables").

Partition columns are columns, columns that a file lacks are null, and removed rows are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from crosstower.data.sources.formats import CHUNK_ROWS
from crosstower.data.sources.table_source import TableSource
from crosstower.data.sources.table_versions import TableVersion
from crosstower.errors import DataError, first_line
from crosstower.values.addresses.address import Place

LOG = "_delta_log"
"""Folder that makes a folder a Delta table."""


def open_delta(place: Place, version: TableVersion) -> TableSource:
    """Return the rows of a Delta table.

    Args:
        place: folder of the table.
        version: to read.

    Raises:
        DataError: the package is missing, there is no such table or version, or the table uses a
            feature that delta-rs cannot read.

    """
    try:
        from deltalake import DeltaTable  # noqa: PLC0415 - an extra
        from deltalake.exceptions import DeltaError  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise DataError(
            f"{place}: a Delta table, which needs the package {error.name}; install it with:"
            " pip install 'crosstower[tables]'"
        ) from error
    name = f"{place}{version}"
    try:
        table = DeltaTable(str(place), version=version.number, storage_options=_options())
        if version.time is not None:
            made = {one["version"]: one.get("timestamp") for one in table.history()}
            table.load_as_version(version.time)
            _refuse_later(made.get(table.version()), version.time, name)
        data = table.to_pyarrow_dataset()
    except (DeltaError, OSError, ValueError) as error:
        raise DataError(
            f"{name}: cannot be opened as a Delta table: {first_line(error)}; give a version that"
            " it has, as in TABLE@v3 or TABLE@2026-01-31, or none for the newest one"
        ) from error
    return TableSource(name, tuple(data.schema.names), lambda columns: _batches(data, columns))


def _refuse_later(made: int | None, time: datetime, name: str) -> None:
    """Raise DataError for a time before the first version, which delta-rs would read.

    Args:
        made: time of the version that delta-rs chose, in milliseconds, if the table has it.
        time: given.
        name: for messages.

    """
    if made is not None and made > time.timestamp() * 1000:
        first = datetime.fromtimestamp(made / 1000, UTC).isoformat(timespec="seconds")
        raise DataError(f"{name}: no such version; the first one is of {first}, as in TABLE@v0")


def _batches(data: Any, columns: Sequence[str]) -> Iterator[Any]:
    from pyarrow import dataset  # noqa: PLC0415 - only tables need it

    for fragment in sorted(data.get_fragments(), key=lambda f: f.path):
        scanner = dataset.Scanner.from_fragment(
            fragment,
            schema=data.schema,
            columns=list(columns),
            batch_size=CHUNK_ROWS,
            batch_readahead=1,
            use_threads=False,
        )
        yield from scanner.to_batches()


def _options() -> dict[str, str]:
    """Return the options that delta-rs does not read from the environment itself."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return {"AWS_ALLOW_HTTP": "true"} if endpoint.startswith("http://") else {}
