"""Export a ranker's model, and open an export again.

A folder has the ONNX model, `inputs.json` (see `document`), and the encoder in `encoder/`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import nn

from crosstower.data.encoders.encoder_files import save_encoder
from crosstower.data.encoders.request_encoder import RequestEncoder
from crosstower.data.layout import Layout
from crosstower.errors import RunError
from crosstower.ranking.scorer import Eager, Exported, Scorer
from crosstower.serving.export.document import (
    Document,
    Form,
    check_files,
    read_document,
    write_document,
)
from crosstower.serving.export.onnx_export import save_onnx, traced
from crosstower.serving.export.onnx_ranker import OnnxRanker
from crosstower.serving.export.sample import sample
from crosstower.serving.export.signature import FILE, signature_of
from crosstower.storage.documents import facts_of
from crosstower.storage.files import new_folder

ENCODER = "encoder"
_ONNX = "onnx"
_TOLERANCE = 1e-4  # of the largest logit, or of 1
_SAMPLES = (1, 2, 7, 500)


@dataclass(frozen=True)
class Written:
    """A finished export.

    `difference` is the largest difference between a logit of the export and of the model, over
    rows drawn in code space.
    """

    path: Path
    bytes: int
    difference: float
    seconds: float


def export_model(
    scorer: Scorer, folder: str | Path, *, user: Sequence[str] = (), with_encoder: bool = True
) -> Written:
    """Write the model of a scorer as ONNX into a new folder, compared with the model itself.

    Calibration and blend are applied to the logits afterwards and are not exported.

    Args:
        scorer: with the model as it was trained.
        folder: must not exist.
        user: the schema columns that have one value per request, as for `RequestEncoder`. Their
            lists are then pooled once per call, and rows that differ in them are refused. Without
            them each row has its own lists.
        with_encoder: write the encoder as well.

    Raises:
        RunError: the folder already exists, a package is missing, or the export computes other
            logits than the model.
        QueryError: `user` names an unknown column, or a cross.

    """
    folder, start = Path(folder), time.perf_counter()
    if folder.exists():
        raise RunError(f"{folder}: already exists; choose another folder")
    if not isinstance(scorer.model, nn.Module):
        raise RunError("export: the scorer already has an exported model; pass the model itself")
    model, encoder, layout = scorer.model, scorer.encoder, scorer.encoder.layout
    shared = RequestEncoder(encoder, user).shared if user else frozenset[str]()
    signature = signature_of(layout, shared)
    with new_folder(folder) as aside:
        save_onnx(traced(model, layout, shared), aside / FILE, signature)
        exported = OnnxRanker(aside / FILE, signature)
        files = {file.name: facts_of(file) for file in sorted(aside.iterdir())}
        gap = largest_difference(exported, model, layout, signature.shared)
        document = Document(
            crosstower=metadata.version("crosstower"),
            torch=str(torch.__version__),
            signature=signature,
            forms={_ONNX: Form(file=FILE, files=files, difference=gap)},
        )
        write_document(aside, document)
        if with_encoder:
            save_encoder(encoder, aside / ENCODER)
    size = sum(facts.bytes for facts in files.values())
    return Written(folder / FILE, size, gap, time.perf_counter() - start)


def open_exported(folder: str | Path, layout: Layout) -> Exported:
    """Open an exported model; `dataclasses.replace(scorer, model=...)` scores with it.

    It uses as many threads as torch has when it is opened.

    Args:
        folder: that `export_model` wrote.
        layout: of the encoder that goes with it, `scorer.encoder.layout`.

    Raises:
        RunError: the folder has no ONNX model, it is damaged or was made for another layout, or
            the package onnxruntime is missing.

    """
    folder = Path(folder)
    document = read_document(folder)
    if _ONNX not in document.forms:
        raise RunError(
            f"{folder}: has no ONNX model, only {', '.join(document.forms) or 'nothing'}; export"
            " again"
        )
    signature, form = document.signature, document.forms[_ONNX]
    if signature_of(layout, signature.shared) != signature:
        raise RunError(
            f"{folder}: exported from a model with other columns, vocabularies or tasks; export"
            " the model of this encoder again"
        )
    check_files(folder, form)
    return OnnxRanker(folder / form.file, signature)


def largest_difference(
    exported: Exported, model: nn.Module, layout: Layout, shared: Sequence[str], *, seed: int = 0
) -> float:
    """Return the largest difference of a logit from the model's.

    The rows are drawn in code space, 1, 2, 7 and 500 at a time, with the columns of `shared` in
    common.

    Raises:
        RunError: it is more than 1e-4 of the largest logit, or not a number.

    """
    gaps, sizes = [0.0], [1.0]
    for rows in _SAMPLES:
        request = sample(layout, rows, shared=shared, seed=seed)
        given = exported.logits(request)
        for task, logits in Eager(model).logits(request).items():
            gaps.append(float(np.abs(given[task] - logits).max()))
            sizes.append(float(np.abs(logits).max()))
    gap, size = float(np.max(gaps)), float(np.max(sizes))
    if not gap <= _TOLERANCE * size:
        raise RunError(
            f"export: a logit differs by {gap:.2g} from the model's, whose largest is {size:.2g};"
            " use the model itself, and please report this"
        )
    return gap
