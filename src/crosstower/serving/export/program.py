"""A ranker traced once, for any number of candidates: what the ONNX exporter translates.

Source: PyTorch, "torch.export", https://docs.pytorch.org/docs/stable/export.html
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from crosstower.data.layout import Layout
from crosstower.data.ragged import Lists
from crosstower.data.request import Request
from crosstower.serving.export.inputs import CANDIDATES, model_inputs, signature_of
from crosstower.serving.export.sample import sample

_MOST_CANDIDATES = 1 << 24
_NOISY_LOGGER = "torch.onnx._internal.exporter._registration"


class TensorRanker(nn.Module):
    """A ranker of plain tensors: codes `[B, F]`, numbers `[B, N]` and the lists of a layout.

    Args:
        model: takes a request and returns logits `[B]` by head.
        layout: of the model; its lists are the further arguments, in their order.
        shared: the user's columns, whose lists are `[1, L]`.

    """

    def __init__(self, model: nn.Module, layout: Layout, shared: frozenset[str]) -> None:
        super().__init__()
        self.model, self._shared = model, shared
        self._lists = [field.name for field in layout.lists]

    def forward(self, codes: Tensor, numbers: Tensor, *lists: Tensor) -> tuple[Tensor, ...]:
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
    lists = [tuple(shapes[2:])] if layout.lists else []  # one element for all further arguments
    with quiet(), torch.no_grad():
        return torch.export.export(
            TensorRanker(model.eval(), layout, shared).eval(),
            tuple(inputs),
            dynamic_shapes=(*shapes[:2], *lists),
        )


@contextmanager
def quiet() -> Generator[None]:
    """Silence torch's exporters: deprecations within torch, and packages that they could use."""
    logger = logging.getLogger(_NOISY_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
