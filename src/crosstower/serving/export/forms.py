"""Export a ranker in one form or several, and open one again.

A folder has the files of each form, `inputs.json` (see `document`), and the encoder in `encoder/`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from crosstower.data.encoders.files import save_encoder
from crosstower.data.encoders.request import RequestEncoder
from crosstower.data.layout import Layout
from crosstower.errors import QueryError, RunError, did_you_mean
from crosstower.ranking.scorer import Eager, Exported, Scorer
from crosstower.serving.export import compiled, onnx, program
from crosstower.serving.export.compiled import Machine
from crosstower.serving.export.document import (
    Document,
    Form,
    check_files,
    read_document,
    write_document,
)
from crosstower.serving.export.inputs import Signature, signature_of
from crosstower.serving.export.sample import sample
from crosstower.storage.documents import facts_of
from crosstower.storage.files import new_folder

Kind = Literal["onnx", "torch_export", "aoti"]
ENCODER = "encoder"
_FILES: dict[str, str] = {"onnx": onnx.FILE, "torch_export": program.FILE, "aoti": compiled.FILE}
_TOLERANCE = 1e-4  # of the largest logit, or of 1
_SAMPLES = (1, 2, 7, 500)


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
    with_encoder: bool = True,
) -> list[Written]:
    """Write the model of a scorer into a new folder, each form compared with the model itself.

    Calibration and blend come after the logits and are no part of it.

    Args:
        scorer: with the model as it was trained.
        folder: must not be there.
        kinds: `onnx`, `torch_export` or `aoti`, which needs a C++ compiler.
        user: the schema columns that have one value per request, as for `CandidateScorer`. Their
            lists are then pooled once per call, and rows that differ in them are refused. Without
            them each row has its own lists.
        with_encoder: write the encoder as well; a folder that lies beside one needs no second.

    Raises:
        RunError: the folder is there, a package or the compiler is missing, or a form computes
            something else than the model.
        QueryError: there is no such kind; `user` names a column that is not there, or a cross.

    """
    folder = Path(folder)
    model = _checked(scorer, folder, kinds)
    encoder, layout = scorer.encoder, scorer.encoder.layout
    shared = RequestEncoder(encoder, user).shared if user else frozenset[str]()
    traced, signature = program.traced(model, layout, shared), signature_of(layout, shared)
    with new_folder(folder) as aside:
        made: dict[str, Written] = {}
        forms: dict[str, Form] = {}
        for kind in kinds:
            start = time.perf_counter()
            form = forms[kind] = _write(kind, traced, signature, aside, Reference(model, layout))
            size = sum(facts.bytes for facts in form.files.values())
            seconds = time.perf_counter() - start
            made[kind] = Written(kind, folder / form.file, size, form.difference, seconds)
        if with_encoder:
            save_encoder(encoder, aside / ENCODER)
        document = Document(
            crosstower=metadata.version("crosstower"),
            torch=str(torch.__version__),
            signature=signature,
            forms=forms,
        )
        write_document(aside, document)
    return list(made.values())


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
    check_files(folder, form)
    return _open(kind, folder / form.file, signature, form.machine)


@dataclass(frozen=True)
class Reference:
    """The model that every form of it must agree with."""

    model: nn.Module
    layout: Layout

    def difference(self, exported: Exported, shared: Sequence[str], *, seed: int = 0) -> float:
        """Return the largest difference of a logit over rows drawn in code space.

        1, 2, 7 and 500 rows at a time, which have the columns of `shared` in common.

        Raises:
            RunError: it is more than 1e-4 of the largest logit, or no number.

        """
        gaps, sizes = [0.0], [1.0]
        for rows in _SAMPLES:
            request = sample(self.layout, rows, shared=shared, seed=seed)
            given = exported.logits(request)
            for task, logits in Eager(self.model).logits(request).items():
                gaps.append(float(np.abs(given[task] - logits).max()))
                sizes.append(float(np.abs(logits).max()))
        gap, size = float(np.max(gaps)), float(np.max(sizes))
        if not gap <= _TOLERANCE * size:
            raise RunError(
                f"export: a logit differs by {gap:.2g} from the model's, whose largest is"
                f" {size:.2g}; this form is of no use: take another kind, and please report it"
            )
        return gap


def _checked(scorer: Scorer, folder: Path, kinds: Sequence[str]) -> nn.Module:
    allowed = list(get_args(Kind))
    for kind in kinds:
        if kind not in allowed:
            raise QueryError(
                f"kinds: no form '{kind}'{did_you_mean(kind, allowed)}; allowed:"
                f" {', '.join(allowed)}"
            )
    if not kinds or len(set(kinds)) < len(kinds):
        raise QueryError(f"kinds: give one or more of {', '.join(allowed)}, each once")
    if folder.exists():
        raise RunError(f"{folder}: is there already; choose another folder")
    if not isinstance(scorer.model, nn.Module):
        raise RunError("export: the scorer has an exported model already; give it the model itself")
    return scorer.model


def _write(
    kind: str, traced: ExportedProgram, signature: Signature, folder: Path, reference: Reference
) -> Form:
    path, before = folder / _FILES[kind], set(folder.iterdir())
    match kind:
        case "onnx":
            onnx.save_onnx(traced, path, signature)
        case "aoti":
            compiled.compile_program(traced, path)
        case _:
            program.save_program(traced, path)
    machine = compiled.this_machine() if kind == "aoti" else None
    exported = _open(kind, path, signature, machine)
    return Form(
        file=path.name,
        difference=reference.difference(exported, signature.shared),
        files={file.name: facts_of(file) for file in sorted(set(folder.iterdir()) - before)},
        machine=machine,
    )


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
