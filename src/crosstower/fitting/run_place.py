"""Where a run is trained: its folder, or a folder of the cache if it will be at an address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crosstower.errors import RunError
from crosstower.recipe.arguments import place_argument
from crosstower.storage import folders
from crosstower.storage.files import refuse_unwritable
from crosstower.storage.folders import publish, work_folder
from crosstower.training.run import MARKER, Run
from crosstower.values.addresses.address import Address, place_of


def place_of_run(recipe: Any, out: Any, *, resume: bool) -> Path | None:
    """Return the folder to train in: of `out`, or of a run to resume; None without either.

    Raises:
        RunError: it is not a place, not a folder to resume, or an address that has files.

    """
    if out is not None:
        expected = "the folder of the new run"
        place = place_argument("out", out, error=RunError, expected=expected)
        return _work_of(place, resume=resume) if isinstance(place, Address) else place
    if not isinstance(recipe, str | Path | Address):
        return None
    place = place_of(recipe, error=RunError)
    if isinstance(place, Address):
        return None if place.suffix or not resume else _work_of(place, resume=True)
    if resume and not place.exists() and not place.suffix:
        raise RunError(f"{recipe}: no such run; give the folder that 'crosstower fit' wrote")
    if not place.is_dir():
        return None
    if not resume:
        raise RunError(
            f"{recipe}: a folder, expected a recipe file; go on with a run with resume (--resume)"
        )
    return place


def refuse_existing(folder: Path) -> None:
    """Raise RunError if the folder of a new run already exists or cannot be made."""
    if not folder.exists():
        refuse_unwritable(folder, error=RunError)
        return
    way = ""
    if (folder / MARKER).is_file():
        way = f", or go on with: {Run.open(folder).resume}"
    raise RunError(
        f"{folder}: already exists and is never overwritten; choose another folder with --out,"
        f" remove it{way}"
    )


def published(run: Run) -> str:
    """Upload a finished run if it is made for an address; return its folder or its local copy.

    Raises:
        RunError: a file could not be uploaded; resuming the run tries again.

    """
    address = run.place
    if not isinstance(address, Address):
        return str(run.folder)
    try:
        return str(publish(run.folder, address, MARKER, error=RunError))
    except RunError as error:
        raise RunError(
            f"{error}; the run is in {run.folder}, try again with: {run.resume}"
        ) from error


def _work_of(address: Address, *, resume: bool) -> Path:
    """Return the folder of the cache in which the run of an address is trained."""
    folder = work_folder(address)
    if not resume:
        folders.refuse_existing(address, error=RunError)
    elif not (folder / MARKER).is_file():
        raise RunError(
            f"{address}: no unfinished training of this run is in the cache of this machine"
            f" ({folder}); a run at an address is complete: start another one from it with --from,"
            " or copy it to a folder and resume that"
        )
    return folder
