"""Folders at addresses: copied to the cache to be read, and published whole.

A copy is at `CACHE/folders/DIGEST/STATE/NAME`: DIGEST identifies the address, STATE the names,
sizes and times of change of all files. `address` and `listing.json` next to it say what was
copied. A copy that a process reads is never replaced: another state of the address has another
copy, which shares the files that are equal.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from crosstower.errors import CrosstowerError, first_line
from crosstower.recipe.frozen import FrozenModel
from crosstower.storage.files import new_folder, refuse_unwritable, same_file, write_atomic
from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.cache import cache_folder, digest_of
from crosstower.values.addresses.remote import delete, download, files_below, upload

_LISTING, _ADDRESS, _THREADS = "listing.json", "address", 8


class _Copied(FrozenModel):
    """A file of a copy: size, time of change at the address, and time of change of the copy."""

    size: int
    changed: int
    local: int


class _Listing(FrozenModel):
    """The files of a copy by relative path."""

    files: dict[str, _Copied]


def local_folder(place: Place, marker: str, *, error: type[CrosstowerError]) -> Path:
    """Return a folder on this machine: the path itself, or an up-to-date copy of an address.

    Args:
        place: path or address of the folder.
        marker: file without which the folder is not valid, such as run.json.
        error: class of the exception.

    Raises:
        CrosstowerError: of class `error`: there is no such folder, or it cannot be copied.

    """
    if isinstance(place, Path):
        return place
    base = _base(place)
    try:
        base.mkdir(parents=True, exist_ok=True)
        with FileLock(base / ".lock"):
            found = _remote(place)
            if marker not in found:
                raise error(
                    f"{place}: holds no {marker}; check the address, or repeat an upload that was"
                    " interrupted"
                )
            return _copied(place, base, found)
    except OSError as fault:
        raise error(f"{place}: cannot be copied to {base}: {first_line(fault)}") from fault


@contextmanager
def publishing(place: Place, last: str, *, error: type[CrosstowerError]) -> Generator[Path]:
    """Give a folder of this machine to fill; it becomes `place`, which must not exist, at the end.

    After an error there is nothing at `place`. At an address, an upload that is interrupted leaves
    files without `last`.

    Args:
        place: path or address of the new folder.
        last: file without which the folder is not valid; it is uploaded last.
        error: class of the exception.

    Raises:
        CrosstowerError: of class `error`: there are other files at the address, or the upload
            failed.
        OSError: the path cannot be written, or the disk is full.

    """
    refuse_existing(place, error=error)
    if isinstance(place, Path):
        with new_folder(place) as aside:
            yield aside
        return
    work = work_folder(place)
    with FileLock(work.parent / ".lock"):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
            publish(work, place, last, error=error)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def work_folder(address: Address) -> Path:
    """Return the local path of a folder that is made for an address; its parent exists."""
    parent = cache_folder() / "work" / digest_of(address)
    parent.mkdir(parents=True, exist_ok=True)
    (parent / _ADDRESS).write_text(str(address), encoding="utf-8")
    return parent / address.name


def refuse_existing(place: Place, *, error: type[CrosstowerError]) -> None:
    """Raise an error of class `error` if the place of a new folder is taken or not writable."""
    if isinstance(place, Path):
        if place.exists():
            raise error(f"{place}: already exists; remove it, or choose another folder")
        refuse_unwritable(place, error=error)
        return
    found = listed(place, error=error)
    if found:
        raise error(
            f"{place}: already exists ({found[0]}) and is never overwritten; choose"
            " another address, or remove its files"
        )


def listed(folder: Address, *, error: type[CrosstowerError]) -> list[Address]:
    """Return all files below an address, sorted; none if there is no folder.

    Args:
        folder: its address.
        error: class of the exception.

    Raises:
        CrosstowerError: of class `error`, if the store cannot be reached, or refuses.

    """
    try:
        return [file.address for file in files_below(folder)]
    except OSError as fault:
        raise error(f"{folder}: cannot be listed: {first_line(fault)}") from fault


def publish(folder: Path, address: Address, last: str, *, error: type[CrosstowerError]) -> Path:
    """Upload a folder, the file `last` at the end, and make it the local copy of the address.

    Returns:
        The local copy; `folder` is moved there.

    Raises:
        CrosstowerError: of class `error`: a file could not be uploaded. `folder` stays.

    """
    names = _names(folder)
    try:
        _upload(folder, address, [name for name in names if name != last])
        upload(folder / last, address / last)
        found, base = _remote(address), _base(address)
        base.mkdir(parents=True, exist_ok=True)
        copy = _place(base, address, found)
        with FileLock(base / ".lock"):
            if copy.exists():
                return copy
            copy.parent.mkdir(exist_ok=True)
            folder.rename(copy)
            _note(copy, address, found)
    except OSError as fault:
        raise error(f"{address}: cannot be uploaded: {first_line(fault)}") from fault
    return copy


def publish_changes(folder: Path, *, error: type[CrosstowerError]) -> None:
    """Upload the files of a local copy that have changed since it was made, and remove others.

    A folder that is not a copy of an address is left as it is.

    Raises:
        CrosstowerError: of class `error`: a file could not be uploaded.

    """
    listing = _listing_of(folder)
    if listing is None:
        return
    address, names = origin_of(folder), _names(folder)
    if not isinstance(address, Address):
        return
    changed = [n for n in names if n not in listing.files or _differs(folder / n, listing.files[n])]
    gone = [name for name in listing.files if name not in names]
    try:
        with FileLock(folder.parents[1] / ".lock"):
            _upload(folder, address, changed)
            for name in gone:
                delete(address / name)
            _note(folder, address, _remote(address))
    except OSError as fault:
        raise error(f"{address}: cannot be uploaded: {first_line(fault)}") from fault


def origin_of(path: Path) -> Place:
    """Return the address of a file or folder that is made for one, or copied; else the path."""
    for folder in (path, *path.parents):
        note = folder.parent / _ADDRESS
        if note.is_file() and folder.is_relative_to(cache_folder()):
            scheme, _, rest = note.read_text(encoding="utf-8").partition("://")
            found = Address(scheme, rest)
            return found if folder == path else found / path.relative_to(folder)
    return path


def _copied(address: Address, base: Path, found: Mapping[str, _Copied]) -> Path:
    """Return the copy of a state of an address, made or completed."""
    copy = _place(base, address, found)
    listing = _listing_of(copy)
    known = {} if listing is None else listing.files
    missing = [n for n in found if n not in known or _differs(copy / n, known[n])]
    for name in _names(copy):
        if name not in found:
            (copy / name).unlink()
    if missing or listing is None:
        earlier = _earlier(base, copy)

        def fetch(name: str) -> None:
            path, facts = copy / name, found[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            twin = earlier.get((name, facts.size, facts.changed))
            if twin is not None:
                same_file(twin, path)
                return
            aside = path.with_name(f".{path.name}.partial")
            download(address / name, aside)
            aside.replace(path)

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fetch, missing))
        _note(copy, address, found)
    return copy


def _earlier(base: Path, copy: Path) -> dict[tuple[str, int, int], Path]:
    """Return the unchanged files of other states, by name, size and time of change."""
    found: dict[tuple[str, int, int], Path] = {}
    for path in base.glob(f"*/{_LISTING}"):
        folder = path.parent / copy.name
        listing = _listing_of(folder)
        if folder == copy or listing is None:
            continue
        for name, facts in listing.files.items():
            if not _differs(folder / name, facts):
                found[name, facts.size, facts.changed] = folder / name
    return found


def _upload(folder: Path, address: Address, names: list[str]) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        tasks = [pool.submit(upload, folder / name, address / name) for name in names]
    for task in tasks:
        task.result()


def _remote(address: Address) -> dict[str, _Copied]:
    """Return the files below an address by relative path; `local` is not known."""
    start = len(address.path) + 1
    return {
        file.address.path[start:]: _Copied(size=file.size, changed=file.changed, local=0)
        for file in files_below(address)
    }


def _base(address: Address) -> Path:
    return cache_folder() / "folders" / digest_of(address)


def _place(base: Path, address: Address, found: Mapping[str, _Copied]) -> Path:
    state = digest_of(*(f"{n} {f.size} {f.changed}" for n, f in sorted(found.items())))
    return base / state / address.name


def _note(copy: Path, address: Address, found: Mapping[str, _Copied]) -> None:
    """Write the listing of a complete copy."""
    files = {
        name: facts.model_copy(update={"local": (copy / name).stat().st_mtime_ns})
        for name, facts in found.items()
        if (copy / name).is_file()
    }
    write_atomic(copy.parent / _ADDRESS, str(address).encode())
    write_atomic(copy.parent / _LISTING, _Listing(files=files).model_dump_json().encode())


def _listing_of(folder: Path) -> _Listing | None:
    path = folder.parent / _LISTING
    if not path.is_file() or not folder.is_relative_to(cache_folder() / "folders"):
        return None
    return _Listing.model_validate_json(path.read_bytes())


def _differs(path: Path, facts: _Copied) -> bool:
    if not path.is_file():
        return True
    now = path.stat()
    return (now.st_size, now.st_mtime_ns) != (facts.size, facts.local)


def _names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
