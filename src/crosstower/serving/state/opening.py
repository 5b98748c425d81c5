"""Opens the database of a state."""

from __future__ import annotations

from collections.abc import Sequence

from crosstower.errors import ServeError
from crosstower.serving.state.address import PostgresAddress, StateAddress, state_address
from crosstower.serving.state.database import Database
from crosstower.serving.state.sqlite import SqliteDatabase

FILE = "state.sqlite"


def open_database(
    address: str | StateAddress, tables: Sequence[str], *, existing: bool = False
) -> Database:
    """Open the database at an address.

    Args:
        address: a folder, or a schema of PostgreSQL; created if it is missing.
        tables: statements that make the tables and indexes that are missing.
        existing: refuse a place that no server has written.

    Raises:
        ServeError: it is damaged, of a newer format, of something else, or cannot be written; or a
            package is missing.

    """
    place = state_address(address)
    if isinstance(place, PostgresAddress):
        try:
            from crosstower.serving.state.postgres import PostgresDatabase  # noqa: PLC0415
        except ImportError as error:
            raise ServeError(
                f"{place}: needs the package psycopg ({error}); install it with: pip install"
                " 'crosstower[postgres]'"
            ) from error
        return PostgresDatabase(place, tables, existing=existing)
    if existing and not (place / FILE).is_file():
        raise ServeError(
            f"{place}: not the state of a server (no {FILE}); give the folder of crosstower serve"
            " --state"
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServeError(f"{place}: cannot be created: {error.strerror or error}") from error
    return SqliteDatabase(place / FILE, tables)
