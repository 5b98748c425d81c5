"""Checks of a bundle's files: those of its manifest, within a memory limit."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from pyarrow import ArrowException, parquet

from crosstower.errors import BundleError, first_line
from crosstower.serving.bundle.manifest import NAME, BundleManifest
from crosstower.storage.documents import FileFacts, fault_of

_AGAIN = "copy the bundle again, or make it again"
_FREE_BYTES, _MOST_TIMES = 512_000_000, 200
_CELL_BYTES = 16  # of a string in polars; numbers take less


def check_contents(folder: Path, manifest: BundleManifest, *, checksums: bool) -> None:
    """Compare the files of a folder with its manifest.

    Symbolic links, special files and files that the manifest does not list are refused: their
    content is unverified.

    Args:
        folder: of the bundle.
        manifest: of the bundle.
        checksums: read every file; sizes are compared in any case.

    Raises:
        BundleError: names the first file that is missing, cut short, longer, changed or unlisted,
            or that would take far more memory than disk.

    """
    listed = dict(manifest.files) | dict(manifest.cards)
    for name in _found(folder):
        if name not in listed and name != NAME:
            raise BundleError(
                f"{folder / name}: is not listed in {NAME}; a bundle is never changed: remove the"
                " file, or make the bundle again"
            )
    for name, facts in listed.items():
        fault = fault_of(folder / name, facts) if checksums else _size_fault(folder / name, facts)
        if fault is not None:
            raise BundleError(f"{folder / name}: {fault}; {_AGAIN}")
        if name.endswith(".parquet"):
            _check_parquet(folder / name)


def _found(folder: Path) -> Iterator[str]:
    """Yield the relative path of every file of a folder."""
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
            raise BundleError(f"{path}: is {what}; a bundle has regular files only: {_AGAIN}")
        yield path.relative_to(folder).as_posix()


def _size_fault(path: Path, facts: FileFacts) -> str | None:
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    return None if size == facts.bytes else f"{size:,} bytes instead of {facts.bytes:,}"


def _check_parquet(path: Path) -> None:
    """Reject a table that is small on disk and huge in memory, before it is decoded."""
    try:
        metadata = parquet.read_metadata(path)
    except (OSError, ArrowException) as error:
        raise BundleError(f"{path}: damaged: {first_line(error)}; {_AGAIN}") from None
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    needed = sum(c.num_values * _CELL_BYTES + c.total_uncompressed_size for c in chunks)
    needed = max(needed, metadata.num_rows * metadata.num_columns * _CELL_BYTES)
    size = path.stat().st_size
    most = max(_FREE_BYTES, _MOST_TIMES * size)
    if needed > most:
        raise BundleError(
            f"{path}: {size:,} bytes would take about {needed / 1e6:,.0f} MB of memory, at most"
            f" {most / 1e6:,.0f} MB are allowed for a file of this size; {_AGAIN}"
        )
