"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crosstower.errors import CrosstowerError
from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.cache import cache_folder
from crosstower.values.addresses.remote import upload

if TYPE_CHECKING:
    import polars as pl

_TEXT_FORMATS = frozenset({".csv", ".json", ".jsonl", ".ndjson", ".tsv", ".txt"})
_BINARY_FORMATS = frozenset({".arrow", ".feather", ".gz", ".ipc", ".npy", ".orc", ".pkl", ".xlsx"})


@contextmanager
def replacing(path: Place) -> Generator[Path]:
    """Give a temporary path to write to; it takes the place of `path` when all went well.

    A crash, an error or a full disk leaves the file that was there before, whole. A file at an
    address is written into the cache folder first, and uploaded at the end.

    Raises:
        DataError: nothing can be written at an address of this scheme.
        OSError: the folder cannot be written, or the disk is full.

    """
    if isinstance(path, Address):
        with _staged() as folder:
            yield folder / path.name
            upload(folder / path.name, path)
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _staged() -> Generator[Path]:
    """Give an empty folder of the cache, which is removed at the end."""
    base = cache_folder() / "uploads"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """Give a temporary folder to fill; it becomes `path`, which must not be there, when all is in.

    A crash leaves no half of it under that name, an error nothing at all.

    Raises:
        OSError: the parent cannot be written, or the disk is full.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_unwritable(path: Path, *, error: type[CrosstowerError]) -> None:
    """Raise an error of class `error` if a new file or folder cannot be created at a path.

    Args:
        path: of the new file or folder; folders above it may be missing.
        error: class of the exception.

    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise error(f"{path}: cannot be created: {above} is a file; choose another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise error(
            f"{path}: cannot be created: the folder {above} is not writable; change its"
            " permissions, or choose another place"
        )


def refuse_missing_folder(path: Path, *, error: type[CrosstowerError]) -> None:
    """Raise an error of class `error` if the folder of a new file does not exist."""
    if not path.parent.is_dir():
        raise error(
            f"{path}: cannot be written: no folder {path.parent}; create it, or choose another file"
        )


def refuse_other_format(path: Place, *, error: type[CrosstowerError]) -> None:
    """Raise an error of class `error` if a new Parquet file has the suffix of another format."""
    if path.suffix.lower() in _TEXT_FORMATS | _BINARY_FORMATS:
        name = path.name.partition(".")[0] + ".parquet"
        raise error(f"{path}: the output is Parquet; give it a name such as {name}")


def refuse_parquet_output(path: Path, *, force: bool, error: type[CrosstowerError]) -> None:
    """Raise an error of class `error` if a Parquet file must not be written to a path.

    Args:
        path: of the file.
        force: it may replace a file.
        error: class of the exception.

    """
    refuse_other_format(path, error=error)
    refuse_missing_folder(path, error=error)
    if path.exists() and not force:
        raise error(f"{path}: already exists; choose another with -o, or give --force")


def write_atomic(path: Place, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def same_file(source: Path, path: Path) -> None:
    """Copy `source` to `path` atomically; by a hard link where the disk has links.

    Later changes of either, if written aside and renamed, leave the other as it is.
    """
    with replacing(path) as temporary:
        temporary.unlink()
        try:
            temporary.hardlink_to(source)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, temporary)


def write_parquet(frame: pl.DataFrame, path: Place) -> None:
    """Write a data frame to `path`, whole or not at all."""
    with replacing(path) as temporary:
        frame.write_parquet(temporary)


def sync_folder(folder: Path) -> None:
    """Return once all files and folders below `folder` are on the disk.

    Raises:
        OSError: the disk is full or broken.

    """
    for path in (folder, *folder.rglob("*")):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def free_folder(folder: Path) -> Path:
    """Return `folder`, or the first of folder-2, folder-3, ... that does not exist."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def beside(folder: Path, ending: str) -> Path:
    """Return the path next to a folder whose name is that of the folder and an ending.

    >>> beside(Path("runs/bundle"), ".state").as_posix()
    'runs/bundle.state'

    Args:
        folder: may be `.` or end with `..`, whose names are those of the folders they stand for.
        ending: to add to the name.

    """
    named = folder.resolve() if folder.name in ("", "..") else folder
    return named.with_name(f"{named.name}{ending}")
