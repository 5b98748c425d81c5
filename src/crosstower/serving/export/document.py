"""`inputs.json` of an exported model: its signature, the versions that made it, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from crosstower.errors import RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.export.signature import Signature
from crosstower.storage import documents as stored
from crosstower.storage.documents import FileFacts

FORMAT, DOCUMENT = 1, "inputs.json"


class Form(FrozenModel):
    """One form: its main file, all its files, and the largest difference of a logit."""

    model_config = ConfigDict(extra="ignore")  # older exports also have `machine`

    file: str
    files: dict[str, FileFacts]
    difference: float


class Document(FrozenModel):
    """The content of `inputs.json`."""

    format: Literal[1] = FORMAT
    crosstower: str
    torch: str
    signature: Signature
    forms: dict[str, Form]


def write_document(folder: Path, document: Document) -> None:
    """Write `inputs.json` into a folder."""
    (folder / DOCUMENT).write_text(document.model_dump_json(indent=1), encoding="utf-8")


def read_document(folder: Path) -> Document:
    """Read `inputs.json` of a folder.

    Raises:
        RunError: it is missing, damaged, or of a newer format.

    """
    path = folder / DOCUMENT
    if not path.is_file():
        raise RunError(
            f"{folder}: no exported model in this folder (no {DOCUMENT}); create one with:"
            " crosstower export RUN -o DIR"
        )
    return stored.read_document(path, Document, newest=FORMAT, error=RunError, again="export again")


def check_files(folder: Path, form: Form) -> None:
    """Compare every file of a form with its size and checksum in `inputs.json`.

    Raises:
        RunError: names the first file that is missing, cut short, longer, or changed.

    """
    for name, facts in form.files.items():
        fault = stored.fault_of(folder / name, facts)
        if fault is not None:
            raise RunError(f"{folder / name}: {fault}; export again")
