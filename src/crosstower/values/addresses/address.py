"""Addresses of files and folders: s3://, gs://, az://, hdfs:// and https://.

`pathlib.Path` turns s3://bucket/key into s3:/bucket/key, so text that a user gives becomes a
`Place` by `place_of`, never by `Path`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import Any

from crosstower.errors import CrosstowerError, DataError

SCHEMES = ("s3", "gs", "az", "hdfs", "https", "http")
"""Schemes of files and folders."""

CATALOG = "iceberg"
"""Scheme of tables of an Iceberg catalog, as in iceberg://CATALOG/NAMESPACE.TABLE."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(.*)", re.DOTALL)
_QUERY = re.compile(r"\?[\w.-]+=[^/]*(?:&|$)")  # in a pattern, ? stands for one character
_HOSTS = ("hdfs", "https", "http")  # their first part is a host, which may have a port


@dataclass(frozen=True, order=True)
class Address:
    """A file or folder at an address, with the properties of a path.

    >>> file = Address("s3", "bucket/rows") / "day=2026-01-31" / "part-0.parquet"
    >>> str(file), file.name, file.suffix, str(file.parent)
    ('s3://bucket/rows/day=2026-01-31/part-0.parquet', 'part-0.parquet', '.parquet', 's3://bucket/rows/day=2026-01-31')

    Args:
        scheme: one of `SCHEMES`, or `CATALOG`.
        path: bucket, container or host, and the key below it, without a slash at the end.

    """

    scheme: str
    path: str

    @property
    def bucket(self) -> str:
        """Bucket, container or host (with its port)."""
        return self.path.partition("/")[0]

    @property
    def key(self) -> str:
        """Path within the bucket; empty for the bucket itself."""
        return self.path.partition("/")[2]

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the path, the bucket first."""
        return tuple(self.path.split("/"))

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.parts[-1]

    @property
    def suffix(self) -> str:
        """Suffix of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """Name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> Address:
        """The folder of the file; a bucket is its own parent."""
        return Address(self.scheme, self.path.rpartition("/")[0] or self.path)

    def __truediv__(self, other: str | PathLike[str]) -> Address:
        """Return a file or folder below this one."""
        return Address(self.scheme, f"{self.path}/{fspath(other).strip('/')}")

    def __str__(self) -> str:
        """Return the URL."""
        return f"{self.scheme}://{self.path}"


Place = Path | Address
"""A file or folder, on this machine or at an address."""


def address_of(value: Any, *, error: type[CrosstowerError] = DataError) -> Address | None:
    """Return the address that a text or path holds; None for a path on this machine.

    >>> address_of("s3://bucket/rows/"), address_of("rows.parquet"), address_of("world:films")
    (Address(scheme='s3', path='bucket/rows'), None, None)

    Args:
        value: as given; `Path("s3://bucket/key")`, which has lost a slash, is understood.
        error: class of the exception.

    Raises:
        CrosstowerError: of class `error`: the scheme is unknown, or the address holds credentials
            or a query.

    """
    if isinstance(value, Address):
        return value
    found = _ADDRESS.fullmatch(fspath(value)) if isinstance(value, str | PathLike) else None
    if found is None:
        return None
    scheme, path = found[1].lower(), found[2]
    if scheme not in (*SCHEMES, CATALOG):
        if isinstance(value, str) and "://" in value:
            allowed = ", ".join(f"{name}://" for name in (*SCHEMES, CATALOG))
            raise error(f"{scheme}://…: unknown scheme; allowed: {allowed}, or a path")
        return None
    _check(scheme, path, error)
    return Address(scheme, path.rstrip("/"))


def place_of(
    value: str | PathLike[str] | Address, *, error: type[CrosstowerError] = DataError
) -> Place:
    """Return a text or path as an address or a path.

    >>> str(place_of("gs://bucket/run")), str(place_of("runs/films"))
    ('gs://bucket/run', 'runs/films')

    Args:
        value: as given.
        error: class of the exception.

    Raises:
        CrosstowerError: of class `error`, if the address cannot be used.

    """
    return address_of(value, error=error) or Path(fspath(value))  # type: ignore[arg-type]


def absolute_path(path: Path) -> Path:
    """Return an absolute path; one that holds the text of an address stays as it is.

    >>> absolute_path(Path("s3://bucket/bundle")) == Path("s3://bucket/bundle")
    True
    """
    return path.absolute() if address_of(path) is None else path


def anchored(text: str, folder: Place) -> str:
    """Return a path or address as text, a relative path from `folder`.

    >>> anchored("rows.parquet", Address("s3", "bucket/recipes"))
    's3://bucket/recipes/rows.parquet'

    Args:
        text: as given.
        folder: base of relative paths.

    Raises:
        DataError: the address cannot be used.

    """
    if address_of(text) is not None:
        return text
    if isinstance(folder, Address) and not Path(text).is_absolute():
        return str(folder / text)
    return str(Path.cwd() / text if isinstance(folder, Address) else folder.absolute() / text)


def _check(scheme: str, path: str, error: type[CrosstowerError]) -> None:
    """Reject an address that would put a secret into recipes, reports and logs."""
    bucket = path.partition("/")[0]
    if not bucket:
        raise error(f"{scheme}://: names no bucket or host; write {scheme}://BUCKET/KEY")
    host, colon, port = bucket.partition(":")
    if "@" in bucket or (colon and (scheme not in _HOSTS or not port.isdigit())):
        raise error(
            f"{scheme}://…@…: holds credentials, which recipes and reports would show; remove them"
            " from the address and set the environment instead, such as AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY"
        )
    if _QUERY.search(path) or (scheme in ("https", "http") and "?" in path):
        raise error(
            f"{scheme}://{host}/…?…: has a query, which may hold a signature that recipes and"
            " reports would show; give an address without a query, or download the file first"
        )
