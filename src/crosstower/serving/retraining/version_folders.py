"""Folders of versions, on this machine or at an address: made, kept, listed and removed."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from crosstower.errors import ServeError, first_line
from crosstower.serving.bundle.manifest import NAME
from crosstower.storage.files import beside, sync_folder
from crosstower.storage.folders import listed, local_folder, publish
from crosstower.values.addresses.address import Address, Place, address_of, place_of
from crosstower.values.addresses.cache import cache_folder, digest_of
from crosstower.values.addresses.remote import delete, files_below, upload

BUNDLE, GATE = "bundle", "gate.json"
"""Contents of a version's folder: the bundle, and the verdict, which is uploaded last."""

_GONE = re.compile(r"\.\d{4,}")  # folders that are being removed
_PROBE = ".writable"


def versions_folder(bundle: Place) -> Place:
    """Return the default folder of a bundle's versions.

    >>> str(versions_folder(Address("s3", "shop/bundle")))
    's3://shop/bundle.versions'
    """
    ending = ".versions"
    if isinstance(bundle, Address):
        return Address(bundle.scheme, f"{bundle.path}{ending}")
    return beside(bundle, ending)


def prepare(folder: Place) -> None:
    """Make the folder of all versions, and finish removals of an earlier process.

    Raises:
        ServeError: it cannot be written, or the store cannot be reached.
        DataError: the scheme cannot be written to.

    """
    if isinstance(folder, Address):
        _check_writable(folder)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServeError(f"{folder}: cannot be written: {error.strerror or error}") from error
    for path in folder.iterdir():
        if _GONE.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def names_in(folder: Place) -> set[str]:
    """Return the names of the folders of versions, also of parts of them.

    Raises:
        ServeError: the store cannot be reached.

    """
    if isinstance(folder, Address):
        depth = len(folder.parts)
        return {file.parts[depth] for file in listed(folder, error=ServeError)}
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def begin(place: Place) -> Path:
    """Make the folder of a new version; for an address, one on this machine to fill first.

    Raises:
        OSError: it cannot be created, or it exists.

    """
    if isinstance(place, Path):
        place.mkdir()
        return place
    work = _work_folder(place)
    work.mkdir(parents=True)
    return work


def keep(work: Path, place: Place) -> None:
    """Make the files of a filled folder survive a crash; for an address, upload them.

    Raises:
        ServeError: an upload failed.
        OSError: the disk is full or broken.

    """
    if isinstance(place, Path):
        sync_folder(work)
    else:
        publish(work, place, GATE, error=ServeError)


def remove(place: Place) -> None:
    """Remove the folder of a version; a later retraining removes files that remain.

    Half a bundle is never visible: a path is renamed first, and at an address the bundle's manifest
    is deleted first.
    """
    if isinstance(place, Path):
        hidden = place.with_name(f".{place.name}")
        with suppress(OSError):
            place.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
        return
    with suppress(OSError):
        shutil.rmtree(_work_folder(place), ignore_errors=True)
        delete(place / BUNDLE / NAME)
        for file in files_below(place):
            delete(file.address)


def existing(bundles: Iterable[Path]) -> set[Path]:
    """Return the paths and addresses at which there is a bundle.

    Raises:
        ServeError: the store cannot be reached.

    """
    found, below = set[Path](), dict[Address, set[Address]]()
    for bundle in bundles:
        address = address_of(bundle)
        if address is None:
            there = bundle.is_dir()
        else:
            folder = address.parent.parent
            if folder not in below:  # one request for all of its versions
                below[folder] = set(listed(folder, error=ServeError))
            there = address / NAME in below[folder]
        if there:
            found.add(bundle)
    return found


def local_version(folder: Path) -> Path:
    """Return the folder of a version on this machine: itself, or an up-to-date copy.

    Raises:
        ServeError: there is none at the address, or it cannot be copied.

    """
    return local_folder(place_of(folder, error=ServeError), GATE, error=ServeError)


def _check_writable(folder: Address) -> None:
    """Reject an address before hours of training, not after."""
    with tempfile.NamedTemporaryFile() as empty:
        try:
            upload(Path(empty.name), folder / _PROBE)
            delete(folder / _PROBE)
        except OSError as error:
            raise ServeError(f"{folder}: cannot be written: {first_line(error)}") from error


def _work_folder(place: Address) -> Path:
    """Return where a version is made; its runs are not uploaded before the gate has passed it."""
    return cache_folder() / "versions" / digest_of(place.parent) / place.name
