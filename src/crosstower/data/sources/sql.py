"""Rows of a SQL query, through ADBC (extra "sql"): DuckDB and PostgreSQL.

The query runs once, in a transaction that only reads. Its record batches go to a temporary file,
from which all passes read, so that they see the same rows in the same order whatever happens to
the database meanwhile. Memory does not grow with the rows; the folder of the file is `TMPDIR`.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from crosstower.data.sources.formats import Chunk, FileSource, open_file
from crosstower.errors import DataError, first_line
from crosstower.recipe.sql import MEMORY, database_of

_SHOWN = 60


@dataclass(frozen=True)
class SqlSource:
    """The rows of a query, in its order.

    Args:
        name: of the source in messages.
        rows: of the temporary file, which is removed with the source.

    """

    name: str
    rows: FileSource

    def columns(self) -> list[str]:
        """Return the column names of the query."""
        return self.rows.columns()

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows."""
        for chunk in self.rows.chunks(columns):
            yield replace(chunk, origin=self.name)


def open_sql(query: str, connection: str) -> SqlSource:
    """Run a query and return its rows.

    Args:
        query: SQL with an order.
        connection: duckdb:///FILE or postgresql://USER@HOST/DATABASE.

    Raises:
        DataError: a package is missing, the database cannot be reached, the query is wrong, a
            column occurs twice, or there are no rows.

    """
    words = " ".join(query.split())
    name = f"query {words[:_SHOWN]}{'…' if len(words) > _SHOWN else ''}"
    folder = Path(tempfile.mkdtemp(prefix="crosstower-sql-"))
    try:
        _write(query, connection, folder / "rows.arrow", name)
        source = SqlSource(name, FileSource((open_file(folder / "rows.arrow"),), name))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(source, shutil.rmtree, folder, ignore_errors=True)
    return source


def _write(query: str, connection: str, path: Path, name: str) -> None:
    """Write the rows of a query as an Arrow file."""
    rows = 0
    with _reader(query, connection, name) as reader, pa.OSFile(str(path), "wb") as sink:
        names = reader.schema.names
        twice = next((column for column in names if names.count(column) > 1), None)
        if twice is not None:
            raise DataError(f"{name}: column '{twice}' occurs twice; name one of them with AS")
        with ipc.new_file(sink, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
    if rows == 0:
        raise DataError(f"{name}: no rows; check its conditions")


@contextmanager
def _reader(query: str, connection: str, name: str) -> Generator[Any]:
    """Give a reader of the record batches of a query; errors of the database name the query."""
    manager, driver = _modules(connection)
    try:
        with _connected(connection, manager, driver) as opened, opened.cursor() as cursor:
            if database_of(connection) is None:
                cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(query)
            yield cursor.fetch_record_batch()
    except (manager.Error, pa.ArrowException, OSError) as error:
        raise DataError(
            f"{name}: the database rejects it: {first_line(error)}; check data.sql and"
            " data.connection, and for PostgreSQL PGPASSWORD or ~/.pgpass"
        ) from error


def _modules(connection: str) -> tuple[Any, Any]:
    """Return the driver manager and the driver of a connection."""
    of_postgres = database_of(connection) is None
    driver = "adbc_driver_postgresql.dbapi" if of_postgres else "adbc_driver_duckdb"
    try:
        return import_module("adbc_driver_manager.dbapi"), import_module(driver)
    except ImportError as error:
        raise DataError(
            f"data.sql: needs the package {error.name}; install it with: pip install"
            " 'crosstower[sql]'"
        ) from error


def _connected(connection: str, manager: Any, driver: Any) -> Any:
    file = database_of(connection)
    if file is None:
        return driver.connect(connection)
    options = {"path": file}
    if file != MEMORY:
        options["access_mode"] = "READ_ONLY"  # also for a file that another process reads
    return manager.connect(
        driver=driver.driver_path(),
        entrypoint="duckdb_adbc_init",
        db_kwargs=options,
        autocommit=True,
    )
