"""Versions of tables in a path or an address: TABLE@v3, or TABLE@2026-01-31T12:00:00Z."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from crosstower.errors import DataError

_VERSION = re.compile(r"(?P<table>.+)@(?:v(?P<number>\d+)|(?P<time>\d{4}-\d\d-\d\d.*))", re.DOTALL)


@dataclass(frozen=True)
class TableVersion:
    """A version by its number or its time; the newest one if both are None.

    Args:
        number: version of a Delta table, or snapshot id of an Iceberg table.
        time: moment whose state is read.

    """

    number: int | None = None
    time: datetime | None = None

    def __str__(self) -> str:
        """Return the end of a path, as it is given."""
        if self.time is not None:
            return f"@{self.time.isoformat()}"
        return "" if self.number is None else f"@v{self.number}"


NEWEST = TableVersion()
"""The version of a path or address that names none."""


def split_version(text: str) -> tuple[str, TableVersion]:
    """Return the path or address of a table, and the version that its end names.

    >>> split_version("s3://lake/clicks@v3")
    ('s3://lake/clicks', TableVersion(number=3, time=None))

    Args:
        text: as given; a time without a zone is in UTC.

    Raises:
        DataError: the time cannot be read.

    """
    found = _VERSION.fullmatch(text)
    if found is None:
        return text, NEWEST
    if found["number"] is not None:
        return found["table"], TableVersion(number=int(found["number"]))
    try:
        time = datetime.fromisoformat(found["time"])
    except ValueError:
        raise DataError(
            f"{text}: expected a version such as @v3, or a time such as @2026-01-31T12:00:00Z"
        ) from None
    return found["table"], TableVersion(time=time if time.tzinfo else time.replace(tzinfo=UTC))
