"""A ranker as a torch.export program: traced once, with any number of candidates, and saved.

Source: PyTorch, "torch.export", https://docs.pytorch.org/docs/stable/export.html
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.data.ragged import Lists
from crosstower.data.request import Request
from crosstower.errors import RunError
from crosstower.serving.export.archive import check_archive
from crosstower.serving.export.inputs import CANDIDATES, Signature, input_tensors, signature_of
from crosstower.serving.export.sample import sample

FILE = "model.pt2"
_MOST_CANDIDATES = 1 << 24
_LOUD = ("torch.onnx._internal.exporter._registration", "torch._inductor.ir")


class TensorRanker(nn.Module):
    """A ranker of plain tensors: codes `[B, F]`, numbers `[B, N]` and the lists of a layout.

    `shared` are the user's columns, whose lists are `[1, L]`.
    """

    def __init__(self, model: nn.Module, layout: Layout, shared: frozenset[str]) -> None:
        super().__init__()
        self.model, self._shared = model, shared
        self._lists = [field.name for field in layout.lists]

    def forward(self, codes: Tensor, numbers: Tensor, *lists: Tensor) -> tuple[Tensor, ...]:
        """Return logits `[B]`, one tensor a head."""
        named: dict[str, Lists] = dict(zip(self._lists, lists, strict=True))
        labels = numbers.new_empty((numbers.shape[0], 0))
        request = Request(codes, numbers, named, labels, self._shared)
        return tuple(self.model(request).values())


class TorchProgram:
    """Logits of a program that takes the tensors of a signature in their order."""

    def __init__(self, forward: Callable[..., Any], signature: Signature) -> None:
        self._forward, self._signature = forward, signature

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Return logits `[B]` by task.

        Raises:
            QueryError: see `model_inputs`.

        """
        if not len(batch):
            return {task: np.empty(0, np.float32) for task in self._signature.tasks}
        tensors = input_tensors(batch, self._signature.shared)
        with torch.inference_mode():
            found = self._forward(*(tensors[name] for name in self._signature.input_names))
        return {t: x.numpy() for t, x in zip(self._signature.tasks, found, strict=True)}


def traced(model: nn.Module, layout: Layout, shared: frozenset[str]) -> ExportedProgram:
    """Return a model as a program for any number of candidates from 1 on.

    It holds no line of source and no path of this machine.
    """
    ranker = TensorRanker(model.eval(), layout, shared).eval()
    inputs = input_tensors(sample(layout, 5, shared=shared), shared)
    rows = Dim(CANDIDATES, min=1, max=_MOST_CANDIDATES)
    signature = signature_of(layout, shared)
    shapes = [{0: rows} if i.shape[0] == CANDIDATES else None for i in signature.inputs]
    lists = [tuple(shapes[2:])] if layout.lists else []  # one element for all further arguments
    with quiet(), torch.no_grad():
        program = torch.export.export(
            ranker,
            tuple(inputs[name] for name in signature.input_names),
            dynamic_shapes=(*shapes[:2], *lists),
        )
    for node in program.graph.nodes:
        for key in [key for key in node.meta if key != "val"]:
            del node.meta[key]
    _dense_look_ups(program)
    # Python source, which a reader would have to evaluate
    program._guards_code = []  # pyright: ignore[reportPrivateUsage]
    return program


def save_program(program: ExportedProgram, path: Path) -> None:
    """Write a program to a file that ends in .pt2, without its sample inputs: they are a pickle."""
    inputs = program.example_inputs
    program.example_inputs = None
    try:
        with quiet():
            torch.export.save(program, path)
    finally:
        program.example_inputs = inputs


def open_program(path: Path, signature: Signature) -> TorchProgram:
    """Open what `save_program` wrote.

    Raises:
        RunError: the file is damaged, holds a pickle, or anything else that runs when it is loaded.

    """
    check_archive(path)
    try:
        with quiet():
            program = torch.export.load(path)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path}: damaged, or of another torch: {reason}; export again") from error
    return TorchProgram(program.module(check_guards=False), signature)


@contextmanager
def quiet() -> Generator[None]:
    """Keep back what exporters say about themselves: deprecations within torch, absent packages."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _dense_look_ups(program: ExportedProgram) -> None:
    """Let look-ups ask for no sparse gradient: there is none, and compilers have no code for it."""
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.embedding.default:
            node.args = node.args[:2]
