"""Export a ranker in one form or several, and open one again.

A folder has the files of each form and `inputs.json`: what goes in and comes out, which versions
made it, and the size and checksum of each file.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn
from torch.export import ExportedProgram

import crosstower
from crosstower.data.encode import Encoder
from crosstower.data.request import RequestEncoder
from crosstower.errors import RunError, did_you_mean
from crosstower.export import compiled, onnx, program
from crosstower.export.compiled import Machine
from crosstower.export.inputs import Signature, signature_of
from crosstower.export.sample import sample
from crosstower.files import new_folder
from crosstower.frozen import Frozen
from crosstower.layout import Layout
from crosstower.scores import Eager, Exported, Scorer

Kind = Literal["onnx", "torch_export", "aoti"]
FORMAT, DOCUMENT = 1, "inputs.json"
_FILES: dict[str, str] = {"onnx": onnx.FILE, "torch_export": program.FILE, "aoti": compiled.FILE}
_TOLERANCE = 1e-4  # of the largest logit, or of 1
_SAMPLES = (1, 2, 7, 500)


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


@dataclass(frozen=True)
class Written:
    """What an export wrote of one kind.

    `difference` is the largest one between a logit of it and of the model itself, over rows drawn
    in code space.
    """

    kind: str
    path: Path
    bytes: int
    difference: float
    seconds: float


def export_model(
    scorer: Scorer,
    folder: str | Path,
    kinds: Sequence[str] = ("onnx", "torch_export"),
    *,
    user: Sequence[str] = (),
) -> list[Written]:
    """Write the model of a scorer into a new folder, each form compared with the model itself.

    Calibration and blend come after the logits and are no part of it.

    Args:
        scorer: with the model as it was trained.
        folder: must not be there.
        kinds: `onnx`, `torch_export` or `aoti`, which needs a C++ compiler.
        user: the schema columns that have one value a request, as for `Ranker`. Their lists are
            then pooled once a call, and rows that differ in them are refused. Without them each
            row has its own lists.

    Raises:
        RunError: the folder is there, there is no such kind, a package or the compiler is missing,
            or a form computes something else than the model.
        QueryError: `user` names a column that is not there, or a cross.

    """
    folder = Path(folder)
    _check_kinds(kinds)
    if not isinstance(scorer.model, nn.Module):
        raise RunError("export: the scorer has an exported model already; give it the model itself")
    if folder.exists():
        raise RunError(f"{folder}: is there already; choose another folder")
    shared = _shared(scorer.encoder, user)
    traced = program.traced(scorer.model, scorer.encoder.layout, shared)
    with new_folder(folder) as aside:
        made = [_write(kind, traced, scorer, shared, aside) for kind in dict.fromkeys(kinds)]
        document = Document(
            crosstower=crosstower.__version__,
            torch=torch.__version__,
            signature=signature_of(scorer.encoder.layout, shared),
            forms={kind: form for kind, form, _ in made},
        )
        (aside / DOCUMENT).write_text(document.model_dump_json(indent=1), encoding="utf-8")
    return [
        Written(
            kind=kind,
            path=folder / form.file,
            bytes=sum(facts.bytes for facts in form.files.values()),
            difference=form.difference,
            seconds=seconds,
        )
        for kind, form, seconds in made
    ]


def open_exported(folder: str | Path, kind: str, layout: Layout) -> Exported:
    """Open one form of an exported model; `dataclasses.replace(scorer, model=...)` scores with it.

    `aoti` runs native code of the file: open only what you compiled. `onnx` uses as many threads
    as torch has when it is opened.

    Args:
        folder: that `export_model` wrote.
        kind: `onnx`, `torch_export` or `aoti`.
        layout: of the encoder that goes with it, `scorer.encoder.layout`.

    Raises:
        RunError: there is no such form, it is damaged or was made for another layout, processor or
            torch, or a package is missing.

    """
    folder = Path(folder)
    document = read_document(folder)
    if kind not in document.forms:
        raise RunError(
            f"{folder}: has no form '{kind}'{did_you_mean(kind, list(document.forms))}; it has:"
            f" {', '.join(document.forms)}"
        )
    signature, form = document.signature, document.forms[kind]
    if signature_of(layout, signature.shared) != signature:
        raise RunError(
            f"{folder}: exported from a model with other columns, vocabularies or tasks; export"
            " the model of this encoder again"
        )
    for name, facts in form.files.items():
        _check_file(folder / name, facts)
    return _open(kind, folder / form.file, signature, form.machine)


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


def largest_difference(
    exported: Exported, model: nn.Module, layout: Layout, *, shared: frozenset[str], seed: int = 0
) -> tuple[float, float]:
    """Return the largest difference of a logit, and the largest logit of the model.

    Over rows drawn in code space, 1, 2, 7 and 500 at a time. Either is NaN where a logit is.
    """
    gaps, sizes = [0.0], [0.0]
    for rows in _SAMPLES:
        request = sample(layout, rows, shared=shared, seed=seed)
        given, expected = exported.logits(request), Eager(model).logits(request)
        gaps += [float(np.abs(given[task] - logits).max()) for task, logits in expected.items()]
        sizes += [float(np.abs(logits).max()) for logits in expected.values()]
    return float(np.max(gaps)), float(np.max(sizes))


def _check_kinds(kinds: Sequence[str]) -> None:
    allowed = list(get_args(Kind))
    for kind in kinds:
        if kind not in allowed:
            raise RunError(
                f"kinds: no form '{kind}'{did_you_mean(kind, allowed)}; allowed:"
                f" {', '.join(allowed)}"
            )
    if not kinds:
        raise RunError(f"kinds: give at least one of {', '.join(allowed)}")


def _shared(encoder: Encoder, user: Sequence[str]) -> frozenset[str]:
    return RequestEncoder(encoder, user).shared if user else frozenset()


def _write(
    kind: str, traced: ExportedProgram, scorer: Scorer, shared: frozenset[str], folder: Path
) -> tuple[str, Form, float]:
    start, layout = time.perf_counter(), scorer.encoder.layout
    signature, path = signature_of(layout, shared), folder / _FILES[kind]
    before = set(folder.iterdir())
    _save(kind, traced, path, signature)
    machine = compiled.this_machine() if kind == "aoti" else None
    exported = _open(kind, path, signature, machine)
    difference = _compared(kind, exported, scorer.model, layout, shared)
    new = sorted(set(folder.iterdir()) - before)
    files = {file.name: FileFacts(bytes=file.stat().st_size, sha256=_sha256(file)) for file in new}
    form = Form(file=path.name, files=files, difference=difference, machine=machine)
    return kind, form, time.perf_counter() - start


def _save(kind: str, traced: ExportedProgram, path: Path, signature: Signature) -> None:
    match kind:
        case "onnx":
            onnx.save_onnx(traced, path, signature)
        case "aoti":
            compiled.compile_program(traced, path)
        case _:
            program.save_program(traced, path)


def _open(kind: str, path: Path, signature: Signature, machine: Machine | None) -> Exported:
    match kind:
        case "onnx":
            return onnx.OnnxRanker(path, signature)
        case "aoti":
            if machine is None:
                raise RunError(f"{path}: does not say for which processor it is; export again")
            return compiled.open_compiled(path, signature, machine)
        case _:
            return program.open_program(path, signature)


def _compared(
    kind: str, exported: Exported, model: Any, layout: Layout, shared: frozenset[str]
) -> float:
    gap, size = largest_difference(exported, model, layout, shared=shared)
    if not gap <= _TOLERANCE * max(size, 1.0):
        raise RunError(
            f"{kind}: a logit differs by {gap:.2g} from the model's, whose largest is {size:.2g};"
            " nothing was written; use another kind, and please report it"
        )
    return gap


def _check_file(path: Path, facts: FileFacts) -> None:
    if not path.is_file():
        raise RunError(f"{path}: missing; export again")
    size = path.stat().st_size
    if size != facts.bytes:
        raise RunError(f"{path}: {size:,} bytes of {facts.bytes:,}; export again")
    if _sha256(path) != facts.sha256:
        raise RunError(f"{path}: damaged: its checksum is another; export again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
