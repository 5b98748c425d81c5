"""A ranker as ONNX, for onnxruntime and other runtimes.

Source: ONNX, https://onnx.ai/onnx/intro; PyTorch, "torch.export-based ONNX exporter",
https://docs.pytorch.org/docs/stable/onnx_export.html
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

from crosstower.data.batch import Batch
from crosstower.errors import RunError
from crosstower.serving.export.inputs import CANDIDATES, Signature, model_inputs
from crosstower.serving.export.program import quiet

FILE = "model.onnx"
OPSET = 20
_MEAN = 1  # of the modes of aten.embedding_bag


class OnnxRanker:
    """Logits by onnxruntime, on as many threads as torch has when it is opened."""

    def __init__(self, path: Path, signature: Signature) -> None:
        runtime = _needed("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        # Threads that spin between calls would take the CPU from everything else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = runtime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of private classes of onnxruntime
            reason = str(error).splitlines()[0]
            raise RunError(f"{path}: cannot be loaded: {reason}; export again") from error
        self._signature = signature

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Return logits `[B]` by task.

        Raises:
            QueryError: see `model_inputs`.

        """
        if not len(batch):
            return {task: np.empty(0, np.float32) for task in self._signature.tasks}
        inputs = model_inputs(batch, self._signature.shared)
        found = self._session.run(self._signature.output_names, inputs)
        return dict(zip(self._signature.tasks, found, strict=True))


def save_onnx(program: ExportedProgram, path: Path, signature: Signature) -> None:
    """Write a program as ONNX; one above 1.5 GB has its weights in a second file, PATH.data.

    Raises:
        RunError: a package is missing.

    """
    _needed("onnx")
    _needed("onnxscript")
    with quiet(), torch.no_grad():
        plain = program.run_decompositions({torch.ops.aten.embedding_bag.padding_idx: _bag})
        written = torch.onnx.export(
            plain,
            input_names=signature.input_names,
            output_names=signature.output_names,
            opset_version=OPSET,
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
    weight: Tensor,
    codes: Tensor,
    offsets: Tensor,
    scale_by_frequency: bool,
    mode: int,
    sparse: bool,
    row_weights: Tensor | None,
    last_offset: bool,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the mean or sum of rows by one look-up; the default is a loop over the bags.

    All bags have the same length here, as lists are padded.
    """
    del scale_by_frequency, sparse, row_weights, last_offset  # of gradients, or not in use
    bags = offsets.shape[0]
    values = codes.reshape(bags, codes.shape[0] // bags)
    present = (values != padding).unsqueeze(-1)
    pooled = (torch.ops.aten.embedding.default(weight, values) * present).sum(1)
    if mode == _MEAN:
        pooled = pooled / present.sum(1).clamp(min=1)
    return pooled, offsets, offsets, offsets  # the last three are for the gradient


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise RunError(
            f"ONNX needs the package {package}; install it with: pip install 'crosstower[export]'"
        ) from error
