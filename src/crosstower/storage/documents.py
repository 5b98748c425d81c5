"""JSON documents with a format number, and files with checksums, verified when read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from crosstower.errors import CrosstowerError, first_line
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.renamed import stored_names

Document = TypeVar("Document", bound=BaseModel)


class FileFacts(FrozenModel):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


def facts_of(path: Path) -> FileFacts:
    """Return size and checksum of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileFacts(bytes=path.stat().st_size, sha256=digest)


def fault_of(path: Path, facts: FileFacts) -> str | None:
    """Return the difference of a file from its facts, None if equal; sizes are compared first.

    >>> fault_of(Path("nowhere"), FileFacts(bytes=1, sha256="ab"))
    'missing'
    """
    fault = size_fault_of(path, facts)
    if fault is not None:
        return fault
    return None if facts_of(path) == facts else "damaged: its checksum differs"


def size_fault_of(path: Path, facts: FileFacts) -> str | None:
    """Return the difference of a file's size from its facts, None if equal."""
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size == facts.bytes:
        return None
    what = "cut short" if size < facts.bytes else "longer than it was"
    return f"{what}: {size:,} bytes of {facts.bytes:,}"


def read_document(
    path: Path,
    kind: type[Document],
    *,
    newest: int,
    error: type[CrosstowerError],
    again: str,
    damaged: str = "damaged",
) -> Document:
    """Read a JSON document that says its `format`.

    Args:
        path: of the file.
        kind: of its contents.
        newest: the format that can be read.
        error: class of the exception.
        again: how to create the file again, for the message.
        damaged: the word for a file that cannot be read.

    Raises:
        CrosstowerError: of the type `error`: the file is missing, damaged, or of another format.

    """
    try:
        plain: Any = json.loads(path.read_bytes())
        form = plain.get("format")
        if isinstance(form, int) and form > newest:
            raise error(
                f"{path}: written by a newer Crosstower (format {form}, this one reads {newest});"
                " upgrade with: pip install -U crosstower"
            )
        if isinstance(form, int) and form < newest:
            raise error(
                f"{path}: written by an older Crosstower (format {form}, this one reads {newest});"
                f" {again}"
            )
        with stored_names():
            return kind.model_validate(plain)
    except RecursionError as fault:
        raise error(f"{path}: {damaged}: nested too deeply; {again}") from fault
    except (OSError, ValueError, AttributeError) as fault:
        invalid = isinstance(fault, ValidationError)
        reason = fault.errors()[0]["msg"] if invalid else first_line(fault)
        reason = reason.removeprefix("Value error, ")
        raise error(f"{path}: {damaged}: {reason}; {again}") from fault
