"""`inputs.json` of an exported model: its signature, which versions made it, and its files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from crosstower.errors import RunError
from crosstower.export.compiled import Machine
from crosstower.export.inputs import Signature
from crosstower.frozen import Frozen

FORMAT, DOCUMENT = 1, "inputs.json"


class FileFacts(Frozen):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


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


def facts_of(path: Path) -> FileFacts:
    """Return size and checksum of a file."""
    with path.open("rb") as file:
        return FileFacts(
            bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest()
        )


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
    try:
        plain: Any = json.loads(path.read_bytes())
        form = plain.get("format")
        if isinstance(form, int) and form > FORMAT:
            raise RunError(
                f"{path}: written by a newer Crosstower (format {form}, this one reads {FORMAT});"
                " upgrade with: pip install -U crosstower"
            )
        return Document.model_validate(plain)
    except (OSError, ValueError, AttributeError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        reason = (str(problem) or "empty").splitlines()[0]
        raise RunError(f"{path}: damaged: {reason}; export again") from error


def check_files(folder: Path, form: Form) -> None:
    """Compare every file of a form with what `inputs.json` says of it.

    Raises:
        RunError: names the first file that is missing, cut short, longer, or changed.

    """
    for name, facts in form.files.items():
        path = folder / name
        if not path.is_file():
            raise RunError(f"{path}: missing; export again")
        size = path.stat().st_size
        if size != facts.bytes:
            raise RunError(f"{path}: {size:,} bytes of {facts.bytes:,}; export again")
        if facts_of(path) != facts:
            raise RunError(f"{path}: damaged: its checksum is another; export again")
