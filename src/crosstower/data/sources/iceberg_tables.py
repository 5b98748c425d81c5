"""Apache Iceberg tables, by PyIceberg (extra "tables"): of a catalog, a folder or a metadata file.

Catalogs are those of PyIceberg: in `.pyiceberg.yaml`, or PYICEBERG_CATALOG__NAME__URI and the like
in the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from crosstower.data.sources.table_source import TableSource
from crosstower.data.sources.table_versions import NEWEST, TableVersion
from crosstower.errors import DataError, first_line
from crosstower.values.addresses.address import CATALOG, Address, Place
from crosstower.values.addresses.remote import files_below

METADATA = ".metadata.json"
"""End of the name of a metadata file."""

_FOLDER = "metadata"
_NUMBER = re.compile(r"v?(\d+)")


def newest_metadata(folder: Place) -> Place | None:
    """Return the metadata file of the newest version of a table; None of another folder.

    Raises:
        OSError: the store cannot be reached, or refuses.

    """
    below = folder / _FOLDER
    if isinstance(below, Path):
        files: list[Place] = list(below.glob(f"*{METADATA}"))
    else:
        files = [f.address for f in files_below(below) if f.address.name.endswith(METADATA)]
    return max(files, key=_number, default=None)


def open_iceberg(place: Place, version: TableVersion, *, name: str) -> TableSource:
    """Return the rows of an Iceberg table.

    Args:
        place: address iceberg://CATALOG/NAMESPACE.TABLE, or a metadata file.
        version: to read; its number is a snapshot id.
        name: for messages.

    Raises:
        DataError: the package is missing, or there is no such table or snapshot.

    """
    try:
        import_module("pyiceberg.io.pyarrow")
    except ImportError as error:
        raise DataError(
            f"{name}: an Iceberg table, which needs the package {error.name}; install it with:"
            " pip install 'crosstower[tables]'"
        ) from error
    try:
        table: Any = _table(place)
        snapshot = _snapshot(table, version, name)
        schema = table.scan(snapshot_id=snapshot).projection()
    except DataError:
        raise
    except Exception as error:  # PyIceberg has errors of many kinds
        raise DataError(
            f"{name}: cannot be opened as an Iceberg table: {first_line(error)}; check the"
            " catalog (PYICEBERG_CATALOG__NAME__URI), the address and the credentials"
        ) from error
    names = tuple(field.name for field in schema.fields)
    return TableSource(name, names, lambda columns: _batches(table, snapshot, columns))


def _table(place: Place) -> Any:
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 - an extra
    from pyiceberg.table import StaticTable  # noqa: PLC0415 - an extra

    if isinstance(place, Address) and place.scheme == CATALOG:
        return load_catalog(place.bucket).load_table(place.key)
    where = str(place.absolute()) if isinstance(place, Path) else str(place)
    return StaticTable.from_metadata(where, properties=_properties())


def _snapshot(table: Any, version: TableVersion, name: str) -> int | None:
    """Return the id of the snapshot of a version; None reads the newest one."""
    if version == NEWEST:
        return None
    if version.time is not None:
        found = table.snapshot_as_of_timestamp(int(version.time.timestamp() * 1000))
    else:
        found = table.snapshot_by_id(version.number)
    if found is None:
        known = ", ".join(f"v{one.snapshot_id}" for one in table.snapshots()) or "none"
        raise DataError(f"{name}: no such snapshot; the table has {known}")
    return found.snapshot_id


def _batches(table: Any, snapshot: int | None, columns: Sequence[str]) -> Iterator[Any]:
    from pyiceberg.io.pyarrow import ArrowScan  # noqa: PLC0415 - an extra

    scan = table.scan(selected_fields=tuple(columns), snapshot_id=snapshot)
    tasks = sorted(scan.plan_files(), key=lambda task: task.file.file_path)
    reader = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
    for task in tasks:  # one after the other: all at once would be read ahead
        yield from reader.to_record_batches([task])


def _number(file: Place) -> tuple[int, str]:
    found = _NUMBER.match(file.name)
    return (int(found[1]) if found else -1), file.name


def _properties() -> dict[str, str]:
    """Return the options that PyIceberg does not read from the environment itself."""
    given = os.environ.get
    found = {
        "s3.endpoint": given("AWS_ENDPOINT_URL_S3") or given("AWS_ENDPOINT_URL"),
        "s3.region": given("AWS_REGION") or given("AWS_DEFAULT_REGION"),
    }
    return {name: value for name, value in found.items() if value}
