"""Where a run is trained: its folder, or a folder of the cache if it will be at an address."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosstower.errors import RunError
from crosstower.fitting.worker import processes
from crosstower.recipe.arguments import place_argument
from crosstower.recipe.recipe import Recipe
from crosstower.storage import folders
from crosstower.storage.documents import read_document
from crosstower.storage.files import refuse_unwritable
from crosstower.storage.folders import publish, work_folder
from crosstower.training.run import MARKER, Run
from crosstower.training.run_info import FORMAT, RunInfo
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
            f"{recipe}: a folder, expected a recipe file; continue a run with resume (--resume)"
        )
    return place


def new_place(name: str, *, temporary: bool) -> Path:
    """Return where a run goes that was given no folder.

    Args:
        name: of the recipe.
        temporary: in a new folder of the system's temporary folder, unless several processes train,
            which would each make one.

    """
    if not temporary or processes() > 1:
        return Path("runs") / name
    return Path(tempfile.mkdtemp(prefix="crosstower-")) / name


def refuse_existing(
    folder: Path,
    *,
    overwrite: bool = False,
    start: Run | str | Path | None = None,
    recipe: Recipe | None = None,
) -> None:
    """Reject the folder of a new run if it already exists or cannot be created.

    Args:
        folder: of the new run.
        overwrite: replace a run; another folder never is.
        start: the run that the new one starts from, which is not replaced.
        recipe: of the new run; a folder with files that it reads is not replaced.

    Raises:
        RunError: the folder is refused.

    """
    if not folder.exists():
        refuse_unwritable(folder, error=RunError)
        return
    is_run = _is_run(folder)
    if overwrite:
        reason = _kept(folder, start, recipe) if is_run else "replaces only runs, and it holds none"
        if reason is None:
            return
        way = f"; overwrite {reason}"
    else:
        way = (
            f", replace it with --overwrite, or continue with: {_resume(folder)}" if is_run else ""
        )
    raise RunError(f"{folder}: already exists; choose another folder with --out, remove it{way}")


def _is_run(folder: Path) -> bool:
    """Return whether a folder holds a run, rather than a file of the same name."""
    try:
        read_document(folder / MARKER, RunInfo, newest=FORMAT, error=RunError, again="train again")
    except RunError:
        return False
    return (folder / "recipe.yaml").is_file()


def _resume(folder: Path) -> str:
    return Run.open(folder).resume


def _kept(folder: Path, start: Run | str | Path | None, recipe: Recipe | None) -> str | None:
    """Return why a run is not replaced; None if it may be."""
    whole = folder.resolve()
    if folder.is_symlink():
        return f"replaces no symbolic link; give the folder {whole} itself"
    if Path.cwd().is_relative_to(whole):
        return "would remove the current working directory; change to another one"
    if start is not None and Run.of(start).folder.resolve() == whole:
        return "would remove the run that the new one starts from"
    if inner := next((p.parent for p in folder.glob(f"*/**/{MARKER}")), None):
        return f"would remove another run in it, {inner}"
    read = next((p for p in _paths(recipe) if Path(p).resolve().is_relative_to(whole)), None)
    return None if read is None else f"would remove {read}, which the recipe reads"


def _paths(recipe: Recipe | None) -> Iterator[str]:
    """Yield the texts of a recipe that are absolute paths."""
    left: list[Any] = [] if recipe is None else [recipe.model_dump(mode="json")]
    while left:
        one = left.pop()
        if isinstance(one, str) and Path(one).is_absolute():
            yield one
        elif isinstance(one, dict):
            left += one.values()  # type: ignore[reportUnknownMemberType]
        elif isinstance(one, list):
            left += one


def refuse_overwriting(out: Any, *, resume: bool) -> None:
    """Refuse to overwrite a run that is resumed, at an address, or trained by several processes.

    Args:
        out: the folder of the run, as given.
        resume: whether the run continues.

    Raises:
        RunError: it is one of these.

    """
    if resume:
        raise RunError("overwrite: not allowed with resume, which continues the run; drop one")
    if processes() > 1 or (out is not None and isinstance(place_of(out, error=RunError), Address)):
        raise RunError(
            f"overwrite: not allowed for {out or 'this run'}, which is at an address or trained by"
            " several processes; remove the run yourself, or choose another folder"
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
