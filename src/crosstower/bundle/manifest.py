"""The manifest of a bundle: what is in it, where it came from, and the checksum of every file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from crosstower.errors import BundleError
from crosstower.frozen import Frozen
from crosstower.stored import FileFacts, facts_of, fault_of, read_document

FORMAT = 1
NAME = "manifest.json"


class RunFacts(Frozen):
    """Where one of the two models came from.

    `columns` and `tasks` are the schema, as a recipe has it. `weights` is the SHA-256 of its file
    of weights; `data` is the fingerprint of the encoded rows; `metrics` are those of the test rows,
    as the run's metrics.json has them.
    """

    name: str
    model: str
    seed: int
    trained: str
    columns: dict[str, Any]
    tasks: dict[str, Any]
    weights: str
    data: str
    rows: dict[str, int]
    environment: dict[str, str]
    metrics: dict[str, Any]


class Manifest(Frozen):
    """What `manifest.json` holds.

    `version` is made of the checksums: two bundles of the same content have the same one.
    `candidates` is how many items the ranker gets, `form` the form in which its model runs.
    `reference` has quantiles of each task's predictions on the validation rows, with which a
    server compares its own.
    `blend_by` are the columns by which a blend may be fitted again, the content type first.
    """

    format: Literal[1] = FORMAT
    version: str
    created: str
    name: str
    crosstower: str
    libraries: dict[str, str]
    git_revision: str | None
    candidates: int
    items: int
    index: str | None
    form: str
    retrieval: RunFacts | None
    ranking: RunFacts | None
    reference: dict[str, tuple[float, ...]]
    blend_by: tuple[str, ...]
    files: dict[str, FileFacts]

    @property
    def stages(self) -> list[str]:
        """The stages that the bundle has, in order."""
        found = [("retrieve", self.retrieval is not None), ("rank", self.ranking is not None)]
        return [name for name, there in found if there]


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle.

    Raises:
        BundleError: there is none, it is damaged, or it is of a newer format.

    """
    path = folder / NAME
    if not path.is_file():
        raise BundleError(
            f"{folder}: no bundle in this folder (no {NAME}); make one with:"
            " crosstower bundle RUN -o DIR"
        )
    again = "make the bundle again"
    return read_document(path, Manifest, newest=FORMAT, error=BundleError, again=again)


def files_of(folder: Path) -> dict[str, FileFacts]:
    """Return size and checksum of every file of a folder, by its path within it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {path.relative_to(folder).as_posix(): facts_of(path) for path in files}


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with what the manifest says of it.

    Raises:
        BundleError: names the first file that is missing, cut short, longer, or changed.

    """
    for name, facts in manifest.files.items():
        fault = fault_of(folder / name, facts)
        if fault is not None:
            again = "copy the bundle again, or make it again"
            raise BundleError(f"{folder / name}: {fault}; {again}")


def version_of(files: dict[str, FileFacts]) -> str:
    """Return twelve hexadecimal digits that stand for the content of all files.

    >>> facts = FileFacts(bytes=0, sha256="ab")
    >>> version_of({"a": facts}) == version_of({"b": facts})
    False
    """
    lines = "\n".join(f"{name} {facts.sha256}" for name, facts in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
