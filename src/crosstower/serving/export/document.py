"""`inputs.json` of an exported model: its signature, which versions made it, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from crosstower.errors import RunError
from crosstower.recipe.frozen import Frozen
from crosstower.serving.export.compiled import Machine
from crosstower.serving.export.inputs import Signature
from crosstower.storage import documents as stored
from crosstower.storage.documents import FileFacts

FORMAT, DOCUMENT = 1, "inputs.json"


class Form(Frozen):
    """One form: its main file and all its files, and the largest difference of a logit.

    `machine` is set for compiled code, which runs nowhere else.
    """

    file: str
    files: dict[str, FileFacts]
    difference: float
    machine: Machine | None = None


class Document(Frozen):
    """What `inputs.json` holds."""

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
        RunError: there is none, or it is damaged, or of a newer format.

    """
    path = folder / DOCUMENT
    if not path.is_file():
        raise RunError(
            f"{folder}: no exported model in this folder (no {DOCUMENT}); make one with:"
            " crosstower export RUN -o DIR"
        )
    return stored.read_document(path, Document, newest=FORMAT, error=RunError, again="export again")


def check_files(folder: Path, form: Form) -> None:
    """Compare every file of a form with what `inputs.json` says of it.

    Raises:
        RunError: names the first file that is missing, cut short, longer, or changed.

    """
    for name, facts in form.files.items():
        fault = stored.fault_of(folder / name, facts)
        if fault is not None:
            raise RunError(f"{folder / name}: {fault}; export again")
