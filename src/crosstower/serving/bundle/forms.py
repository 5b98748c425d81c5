"""The form in which a bundle's ranker runs: eager or ONNX, whichever is faster."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from crosstower.errors import RunError
from crosstower.ranking.scorer import Scorer
from crosstower.serving.export.exported import export_model, open_exported
from crosstower.serving.export.sample import sample

EAGER, ONNX = "eager", "onnx"
FOLDER = "forms"
_CALLS = 15


def write_fastest(scorer: Scorer, user: Sequence[str], place: Path, *, candidates: int) -> str:
    """Export a ranker's model for requests and return the name of the faster form.

    The export stays in `place` if it is faster. It is made if the packages of the extra `export`
    are installed and the model can be exported; its logits are compared with the model's.

    Args:
        scorer: of the bundle.
        user: the columns with one value per request.
        place: folder of the form, to be made.
        candidates: rows per request.

    """
    try:
        export_model(scorer, place, user=user, with_encoder=False)
        exported = open_form(scorer, ONNX, place)
    except RunError:
        shutil.rmtree(place, ignore_errors=True)
        return EAGER
    request = sample(scorer.encoder.layout, candidates, shared=user)
    seconds = _medians({EAGER: scorer, ONNX: exported}, request)
    if seconds[ONNX] < seconds[EAGER]:
        return ONNX
    shutil.rmtree(place)
    return EAGER


def open_form(scorer: Scorer, form: str, place: Path) -> Scorer:
    """Return the scorer with its model in the given form.

    Raises:
        RunError: the form is neither eager nor onnx, its file is damaged, or the package
            onnxruntime is not installed.

    """
    if form == EAGER:
        return scorer
    if form != ONNX:
        raise RunError(f"form: expected {EAGER} or {ONNX}, got {form!r}; make the bundle again")
    return replace(scorer, model=open_exported(place, scorer.encoder.layout))


def _medians(scorers: Mapping[str, Scorer], request: Any) -> dict[str, float]:
    """Return the median seconds per call of each, in turn, on one thread as in a server."""
    found: dict[str, list[float]] = {name: [] for name in scorers}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(_CALLS):
            for name, scorer in scorers.items():
                start = time.perf_counter()
                scorer.logits(request)
                found[name].append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: statistics.median(seconds) for name, seconds in found.items()}
