"""Run an exported ranker by onnxruntime.

Source: ONNX, https://onnx.ai/onnx/intro
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.errors import RunError, first_line
from crosstower.serving.export.signature import CODES, Signature, model_inputs


class OnnxRanker:
    """Logits by onnxruntime, on as many threads as torch has when it is opened."""

    def __init__(self, path: Path, signature: Signature) -> None:
        runtime = needed_package("onnxruntime")
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
            reason = first_line(error)
            raise RunError(f"{path}: cannot be loaded: {reason}; export again") from error
        self._signature = signature

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Return logits `[B]` by task.

        Raises:
            QueryError: see `model_inputs`.

        """
        inputs = model_inputs(batch, self._signature.shared)
        if not len(inputs[CODES]):
            return {task: np.empty(0, np.float32) for task in self._signature.tasks}
        found = self._session.run(self._signature.output_names, inputs)
        return dict(zip(self._signature.tasks, found, strict=True))


def needed_package(package: str) -> Any:
    """Return an imported package of the extra `export`.

    Raises:
        RunError: it is missing.

    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise RunError(
            f"ONNX needs the package {package}; install it with: pip install 'crosstower[export]'"
        ) from error
