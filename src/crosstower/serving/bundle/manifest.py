"""The manifest of a bundle: its content, its origin, and the checksum of every file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from crosstower.data.sources.joins import JoinMatch
from crosstower.errors import BundleError
from crosstower.recipe.frozen import FrozenModel
from crosstower.storage.documents import FileFacts, facts_of, read_document

FORMAT = 3
NAME = "manifest.json"
CARDS = ("card.html", "card.md")
FORMS = ("eager", "onnx")
_MOST_CANDIDATES = 1_000_000
_UNVERSIONED = {"version", "created", "git_revision", "cards", "needed_columns"}


def _form(given: str) -> str:
    if given not in FORMS:
        raise ValueError(
            f"form: expected {' or '.join(FORMS)}, got {given!r}; native code is never run from a"
            " bundle"
        )
    return given


def _inside(files: dict[str, FileFacts]) -> dict[str, FileFacts]:
    for name in files:
        parts = PurePosixPath(name).parts
        plain = name and "\\" not in name and "\0" not in name
        if not plain or name.startswith("/") or ".." in parts:
            raise ValueError(f"files: expected paths within the bundle, got {name!r}")
    return files


Files = Annotated[dict[str, FileFacts], AfterValidator(_inside)]


class RunFacts(FrozenModel):
    """The origin of one of the two models.

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


class BundleManifest(FrozenModel):
    """The content of `manifest.json`.

    `version` is a digest of the checksums and of all fields but `created`, `git_revision`, `cards`
    and `needed_columns`: two bundles of the same content have the same one.
    `index_recall` is recall@10 of an approximate index of the items, if one was tried.
    `candidates` is the number of items that the ranker scores, `form` the form in which its model
    runs, eager or onnx.
    `reference` has quantiles of each task's predictions on the validation rows, with which a
    server compares its own.
    `blend_by` are the columns by which a blend may be fitted again, the content type first.
    `joins` counts the items and known users that find their keys in the ranker's joined tables.
    `needed_columns` are the columns of the ranker that every request must give in its query.
    """

    format: Literal[3] = FORMAT
    version: str
    created: str
    name: str
    crosstower: str
    libraries: dict[str, str]
    git_revision: str | None
    candidates: int = Field(ge=1, le=_MOST_CANDIDATES)
    items: int = Field(ge=0)
    index: str | None
    index_recall: float | None = Field(default=None, ge=0, le=1)
    form: Annotated[str, AfterValidator(_form)]
    retrieval: RunFacts | None
    ranking: RunFacts | None
    reference: dict[str, tuple[float, ...]]
    blend_by: tuple[str, ...]
    joins: tuple[JoinMatch, ...]
    needed_columns: tuple[str, ...] = ()
    files: Files
    cards: Files

    @property
    def stages(self) -> list[str]:
        """The stages that the bundle has, in order."""
        found = [("retrieve", self.retrieval is not None), ("rank", self.ranking is not None)]
        return [name for name, there in found if there]


def read_manifest(folder: Path) -> BundleManifest:
    """Read the manifest of a bundle.

    Raises:
        BundleError: there is none, it is damaged, it was changed, or it is of another format.

    """
    path = folder / NAME
    if not _is_file(path):
        raise BundleError(
            f"{folder}: no bundle in this folder (no {NAME}); create one with:"
            " crosstower bundle RUN -o DIR"
        )
    again = "make the bundle again"
    manifest = read_document(path, BundleManifest, newest=FORMAT, error=BundleError, again=again)
    if (made := version_of(manifest)) != manifest.version:
        raise BundleError(
            f"{path}: was changed: its content has version {made}, it claims {manifest.version};"
            f" {again}"
        )
    return manifest


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # not a valid file name
        return False


def files_of(folder: Path) -> dict[str, FileFacts]:
    """Return size and checksum of every file of a folder, by its path within it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {path.relative_to(folder).as_posix(): facts_of(path) for path in files}


def version_of(manifest: BundleManifest) -> str:
    """Return twelve hexadecimal digits that identify the content of a bundle."""
    plain = json.loads(manifest.model_dump_json(exclude=_UNVERSIONED))  # as it is read back
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
