"""Files at addresses: listed, found by patterns, read, downloaded and uploaded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstower.errors import DataError
from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.filesystems import file_system, path_in

WEB = ("https", "http")
"""Schemes that are only read, file by file."""

_MAGIC = re.compile(r"[*?\[]")
_WILDCARDS = {"*": "[^/]*", "?": "[^/]"}
_BLOCK = 8 << 20
_UPLOADS = 3


@dataclass(frozen=True, order=True)
class RemoteFile:
    """A file in a listing: its address, size in bytes, and time of change in nanoseconds."""

    address: Address
    size: int
    changed: int


def has_magic(address: Address) -> bool:
    """Return whether an address is a pattern.

    >>> has_magic(Address("s3", "b/day=*/*.parquet")), has_magic(Address("s3", "b/a.parquet"))
    (True, False)
    """
    return _MAGIC.search(address.path) is not None


def exists(place: Place) -> bool:
    """Return whether there is a file or folder.

    Raises:
        OSError: the store cannot be reached, or refuses.

    """
    if isinstance(place, Path):
        return place.exists()
    if place.scheme in WEB:
        with suppress(FileNotFoundError):
            return _copy_of(place).is_file()
        return False
    return _info(place).type.name != "NotFound"


def file_at(address: Address) -> RemoteFile | None:
    """Return the file at an address; None if there is none, or a folder.

    Raises:
        OSError: the store cannot be reached, or refuses.

    """
    if address.scheme in WEB:
        with suppress(FileNotFoundError):
            copy = _copy_of(address).stat()
            return RemoteFile(address, copy.st_size, copy.st_mtime_ns)
        return None
    info = _info(address)
    return RemoteFile(address, info.size, info.mtime_ns or 0) if info.type.name == "File" else None


def size_and_change(place: Place) -> tuple[int, int]:
    """Return the size of a file in bytes and its time of change in nanoseconds.

    Raises:
        OSError: there is no such file.

    """
    if isinstance(place, Path):
        facts = place.stat()
        return facts.st_size, facts.st_mtime_ns
    found = file_at(place)
    if found is None:
        raise FileNotFoundError(f"{place}: no such file")
    return found.size, found.changed


def files_below(folder: Address) -> list[RemoteFile]:
    """Return all files below a folder, sorted by address; none if there is no folder.

    Raises:
        DataError: the scheme has no folders.
        OSError: the store cannot be reached, or refuses.

    """
    from pyarrow.fs import FileSelector  # noqa: PLC0415 - loads the clients of all stores

    if folder.scheme in WEB:
        raise DataError(
            f"{folder}: web servers have no folders; name a file with its suffix, such as"
            f" {folder}/rows.parquet"
        )
    root = path_in(folder)
    selector = FileSelector(root, recursive=True, allow_not_found=True)
    found = file_system(folder).get_file_info(selector)
    below = [
        RemoteFile(folder / info.path[len(root) :], info.size, info.mtime_ns or 0)
        for info in found
        if info.type.name == "File"
    ]
    return sorted(below)


def expand(pattern: Address) -> list[RemoteFile]:
    """Return the files that a pattern matches: *, ?, [abc], and ** for any folders.

    Raises:
        DataError: the scheme has no folders, or the pattern names no bucket.
        OSError: the store cannot be reached, or refuses.

    """
    if pattern.scheme in WEB or _MAGIC.search(pattern.bucket):
        raise DataError(f"{pattern}: a pattern needs a store with folders, and a bucket by name")
    matches = re.compile(_expression(pattern.path)).fullmatch
    return [f for f in files_below(fixed_part(pattern)) if matches(f.address.path)]


def fixed_part(pattern: Address) -> Address:
    """Return the folder of a pattern above its first wildcard.

    >>> str(fixed_part(Address("s3", "bucket/rows/day=*/part-?.parquet")))
    's3://bucket/rows'
    """
    fixed: list[str] = []
    for part in pattern.parts:
        if _MAGIC.search(part):
            break
        fixed.append(part)
    return Address(pattern.scheme, "/".join(fixed))


def _expression(pattern: str) -> str:
    """Return a glob pattern as a regular expression, as `glob.glob(recursive=True)` reads it."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == "**":
            parts.append("(?:[^/]+/)*")
            continue
        expression = ""
        for piece in re.findall(r"\[[^\]]+\]|.", part):
            if len(piece) > 1:
                inner = piece[1:-1].replace("\\", "\\\\")
                expression += f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
            else:
                expression += _WILDCARDS.get(piece, re.escape(str(piece)))
        parts.append(f"{expression}/")
    expression = "".join(parts).removesuffix("/")
    return f"{expression}[^/]+" if pattern.endswith("**") else expression


def input_file(address: Address) -> Any:
    """Open a file for reading at any position; a broken connection is retried.

    Returns:
        A pyarrow file, to be closed.

    Raises:
        OSError: there is no such file, or the store cannot be reached.

    """
    import pyarrow as pa  # noqa: PLC0415 - commands without rows need none of it

    if address.scheme in WEB:
        return pa.memory_map(str(_copy_of(address)))
    return file_system(address).open_input_file(path_in(address))


def read_text(place: Place) -> str:
    """Return the text of a file in UTF-8.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.

    """
    if isinstance(place, Path):
        return place.read_text(encoding="utf-8")
    with input_file(place) as file:
        return file.read().decode("utf-8")


def download(address: Address, path: Path) -> None:
    """Copy a file to a path on this machine, which is overwritten.

    Raises:
        OSError: the file cannot be read or written, or changed meanwhile.

    """
    with input_file(address) as source, path.open("wb") as target:
        size = source.size()
        shutil.copyfileobj(source, target, _BLOCK)
        if target.tell() != size:
            raise OSError(f"{address}: {target.tell():,} of {size:,} bytes received; try again")


def upload(path: Path, address: Address) -> None:
    """Copy a file of this machine to an address, whole or not at all.

    Raises:
        DataError: the scheme cannot be written to.
        OSError: the file cannot be read or written; nothing is at the address then.

    """
    if address.scheme in WEB:
        raise DataError(f"{address}: web servers are only read; write to a path, or to s3://")
    for attempt in range(_UPLOADS):
        try:
            return _upload(path, address)
        except OSError:
            if attempt == _UPLOADS - 1:
                raise
    return None


def delete(address: Address) -> None:
    """Remove a file; a missing file is not an error.

    Raises:
        OSError: the store cannot be reached, or refuses.

    """
    with suppress(FileNotFoundError):
        file_system(address).delete_file(path_in(address))


def _upload(path: Path, address: Address) -> None:
    system, target = file_system(address), path_in(address)
    moved = address.scheme == "hdfs"  # where a file can be seen while it is written
    aside = f"{target}.partial" if moved else target
    if moved:
        system.create_dir(aside.rpartition("/")[0], recursive=True)
    with path.open("rb") as source, _whole(system, aside) as stream:
        shutil.copyfileobj(source, stream, _BLOCK)
    if moved:
        with suppress(OSError):
            system.delete_file(target)
        system.move(aside, target)
    size = system.get_file_info(target).size
    if size != path.stat().st_size:
        raise OSError(f"{address}: holds {size:,} bytes after an upload of {path.stat().st_size:,}")


@contextmanager
def _whole(system: Any, target: str) -> Generator[Any]:
    """Open a stream to write; closing one, even after an error, would complete its file."""
    before = _version(system, target)
    stream = system.open_output_stream(target, compression=None)
    try:
        yield stream
        stream.close()
    except BaseException:
        with suppress(OSError):
            stream.close()
        with suppress(OSError):
            if _version(system, target) != before:
                system.delete_file(target)
        raise


def _version(system: Any, target: str) -> tuple[Any, ...]:
    found = system.get_file_info(target)
    return found.type.name, found.size, found.mtime_ns


def _copy_of(address: Address) -> Path:
    """Return the local copy of a file of a web server."""
    from crosstower.values.addresses.web import downloaded  # noqa: PLC0415 - needs a client of HTTP

    return downloaded(address)


def _info(address: Address) -> Any:
    return file_system(address).get_file_info(path_in(address))
