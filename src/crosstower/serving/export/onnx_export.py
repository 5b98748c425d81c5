"""Export a ranker: traced once for any number of candidates, and written as ONNX.

Sources: PyTorch, "torch.export", https://docs.pytorch.org/docs/stable/export.html;
"torch.export-based ONNX exporter", https://docs.pytorch.org/docs/stable/onnx_export.html
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from crosstower.data.layout import Layout
from crosstower.data.ragged import Lists
from crosstower.data.request_batch import Request
from crosstower.serving.export.onnx_ranker import needed_package
from crosstower.serving.export.sample import sample
from crosstower.serving.export.signature import CANDIDATES, Signature, model_inputs, signature_of

OPSET = 20
_MOST_CANDIDATES = 1 << 24
_MEAN = 1  # of the modes of aten.embedding_bag
_NOISY_LOGGERS = (
    "torch.onnx._internal.exporter._registration",
    "onnxscript.optimizer._constant_folding",
)


class TensorRanker(nn.Module):
    """A ranker of plain tensors: codes `[B, F]`, numbers `[B, N]` and the lists of a layout.

    Args:
        model: takes a request and returns logits `[B]` by head.
        layout: of the model, with the order of the lists.
        shared: the user's columns, whose lists are `[1, L]`.

    """

    def __init__(self, model: nn.Module, layout: Layout, shared: frozenset[str]) -> None:
        super().__init__()
        self.model, self._shared = model, shared
        self._lists = layout.list_names()

    def forward(
        self, codes: Tensor, numbers: Tensor, lists: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Return logits `[B]`, one tensor per head."""
        named: dict[str, Lists] = dict(zip(self._lists, lists, strict=True))
        labels = numbers.new_empty((numbers.shape[0], 0))
        request = Request(codes, numbers, named, labels, self._shared)
        return tuple(self.model(request).values())


def traced(model: nn.Module, layout: Layout, shared: frozenset[str]) -> ExportedProgram:
    """Return a model as a program for any number of candidates from 1 on."""
    signature = signature_of(layout, shared)
    arrays = model_inputs(sample(layout, 5, shared=shared), shared)
    inputs = [torch.from_numpy(arrays[name]) for name in signature.input_names]
    rows = Dim(CANDIDATES, min=1, max=_MOST_CANDIDATES)
    shapes = [{0: rows} if i.shape[0] == CANDIDATES else None for i in signature.inputs]
    with quiet(), torch.no_grad():
        return torch.export.export(
            TensorRanker(model.eval(), layout, shared).eval(),
            (*inputs[:2], tuple(inputs[2:])),
            dynamic_shapes=(*shapes[:2], tuple(shapes[2:])),
        )


def save_onnx(program: ExportedProgram, path: Path, signature: Signature) -> None:
    """Write a program as ONNX; one above 1.5 GB has its weights in a second file, PATH.data.

    Raises:
        RunError: a package is missing.

    """
    needed_package("onnx")
    needed_package("onnxscript")
    with quiet(), torch.no_grad():
        written = torch.onnx.export(
            program,
            input_names=signature.input_names,
            output_names=signature.output_names,
            opset_version=OPSET,
            custom_translation_table={torch.ops.aten.embedding_bag.padding_idx: _bag},
            dynamo=True,
            verbose=False,
        )
        if written is None:
            raise TypeError("torch.onnx.export gave no program")
        _name_candidates(written.model.graph)
        written.save(path)


def _name_candidates(graph: Any) -> None:
    """Name the axis of the candidates, and drop notes about the Python source."""
    for tensor in (*graph.inputs, *graph.outputs):
        shape = tensor.shape
        if not isinstance(shape[0], int):
            shape[0] = CANDIDATES
    for node in graph:
        node.metadata_props.clear()


def _bag(  # noqa: PLR0917 - the operator's own signature
    weight: Any,
    codes: Any,
    offsets: Any,
    scale_by_frequency: bool,
    mode: int,
    sparse: bool,
    row_weights: Any,
    last_offset: bool,
    padding: int,
) -> tuple[Any, Any, Any, Any]:
    """Return the mean or sum of rows as ONNX, by one look-up; the default is a loop over the bags.

    All bags have the same length here, as lists are padded.
    """
    del scale_by_frequency, sparse, row_weights, last_offset  # of gradients, or not in use
    op = needed_package("onnxscript").opset20
    shape = op.Concat(op.Shape(offsets), op.Constant(value_ints=[-1]), axis=0)
    values = op.Reshape(codes, shape)
    absent = op.Equal(values, op.CastLike(op.Constant(value_int=padding), values))
    present = op.Unsqueeze(op.CastLike(op.Not(absent), weight), op.Constant(value_ints=[-1]))
    items = op.Constant(value_ints=[1])
    pooled = op.ReduceSum(op.Mul(op.Gather(weight, values), present), items, keepdims=False)
    if mode == _MEAN:
        count = op.ReduceSum(present, items, keepdims=False)
        one = op.CastLike(op.Constant(value_float=1.0), weight)
        pooled = op.Div(pooled, op.Max(count, one))
    return pooled, offsets, offsets, offsets  # the last three are for the gradient


@contextmanager
def quiet() -> Generator[None]:
    """Silence exporters: deprecations within torch, packages that they could use, and folding."""
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
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
