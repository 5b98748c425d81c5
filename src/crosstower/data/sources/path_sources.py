"""Rows of a path or an address: files, folders, globs, and folders that are tables."""

from __future__ import annotations

import glob
from itertools import takewhile
from pathlib import Path

from crosstower.data.sources.delta_tables import LOG, open_delta
from crosstower.data.sources.formats import FORMATS, FileSource, open_file, suffix_of
from crosstower.data.sources.hugging_face import SPLITS, dataset_files, is_dataset, refuse_splits
from crosstower.data.sources.iceberg_tables import METADATA, newest_metadata, open_iceberg
from crosstower.data.sources.table_source import TableSource
from crosstower.data.sources.table_versions import NEWEST, TableVersion, split_version
from crosstower.errors import DataError, first_line
from crosstower.recipe.csv import Csv
from crosstower.values.addresses import remote
from crosstower.values.addresses.address import CATALOG, Address, Place, place_of


def open_place(given: str, dialect: Csv | None) -> FileSource | TableSource:
    """Return the rows of a path or an address.

    Args:
        given: a file, a folder, a glob or a table, as text; a table may end with a version, as in
            TABLE@v3 or TABLE@2026-01-31.
        dialect: of CSV files.

    Raises:
        DataError: nothing there, nothing readable, or no rows.

    """
    place, version = _with_version(given)
    try:
        source = _open_table(place, version) or _open_files(place, version, dialect)
    except OSError as error:
        reason = first_line(error)
        raise DataError(
            f"{place}: cannot be listed: {reason}; check the address, the credentials in the"
            " environment, and the network"
        ) from error
    if next(source.chunks(source.columns()[:1]), None) is None:
        raise DataError(f"{source.name}: no rows; the file holds column names only")
    return source


def _with_version(given: str) -> tuple[Place, TableVersion]:
    place = place_of(given)
    if isinstance(place, Path) and place.exists():
        return place, NEWEST
    text, version = split_version(str(place))
    return place_of(text), version


def _open_table(place: Place, version: TableVersion) -> TableSource | None:
    """Return the rows of a Delta or Iceberg table; None of other places."""
    if isinstance(place, Address) and place.scheme == CATALOG:
        return open_iceberg(place, version, name=f"{place}{version}")
    if place.name.endswith(METADATA):
        return open_iceberg(place, version, name=f"{place}{version}")
    if not _is_folder(place):
        return None
    if remote.exists(place / LOG):
        return open_delta(place, version)
    metadata = newest_metadata(place)
    if metadata is None:
        return None
    return open_iceberg(metadata, version, name=f"{place}{version}")


def _is_folder(place: Place) -> bool:
    if isinstance(place, Path):
        return place.is_dir()
    web, pattern = place.scheme in remote.WEB, remote.has_magic(place)
    return not web and not pattern and remote.file_at(place) is None


def _open_files(place: Place, version: TableVersion, dialect: Csv | None) -> FileSource:
    if version != NEWEST:
        raise DataError(
            f"{place}{version}: only a Delta or Iceberg table has versions, and there is none at"
            f" {place}"
        )
    sizes = _expand(place) if isinstance(place, Path) else _expand_address(place)
    if not sizes:
        raise DataError(
            f"{place}: no such file, folder or glob; check the path (those of a recipe start"
            f" at its folder; allowed: {', '.join(FORMATS)})"
        )
    root = _root(place, alone=place in sizes)
    files = tuple(open_file(file, dialect, root=root) for file in sizes)
    for file, size in sizes.items():
        if size == 0:
            raise DataError(f"{file}: empty file (0 bytes); remove it or write it again")
    return FileSource(files, str(place))


def _expand(path: Path) -> dict[Place, int]:
    """Return the files of a file, a folder or a glob, in order, with their sizes in bytes."""
    if path.is_dir():
        found = _of_dataset(path)
        if found is None:
            found = sorted(f for f in path.rglob("*") if f.is_file() and suffix_of(f) in FORMATS)
    elif path.is_file():
        found = [path]
    else:
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207
        found = sorted(Path(f) for f in matches if Path(f).is_file())
    return {file: remote.size_and_change(file)[0] for file in found}


def _expand_address(address: Address) -> dict[Place, int]:
    """Return the files at an address, below a folder or of a glob, in order, with their sizes."""
    if remote.has_magic(address):
        found = remote.expand(address)
    elif (file := remote.file_at(address)) is not None:
        found = [file]
    elif (files := _of_dataset(address)) is not None:
        return {file: remote.size_and_change(file)[0] for file in files}
    else:
        found = [f for f in remote.files_below(address) if suffix_of(f.address) in FORMATS]
    return {file.address: file.size for file in found}


def _of_dataset(folder: Place) -> list[Place] | None:
    """Return the files of a dataset of Hugging Face; None of another folder."""
    if isinstance(folder, Address) and folder.scheme in remote.WEB:
        return None
    if remote.exists(folder / SPLITS):
        refuse_splits(folder)
    return dataset_files(folder) if is_dataset(folder) else None


def _root(place: Place, *, alone: bool) -> Place | None:
    """Return the folder below which partitions lie; None of a single file."""
    if alone:
        return None
    if isinstance(place, Address):
        return remote.fixed_part(place)
    if place.is_dir():
        return place
    fixed = takewhile(lambda part: not glob.has_magic(part), place.parts)
    return Path(*fixed)
