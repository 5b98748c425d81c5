"""Arrays mapped from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import RunError, first_line


def mapped(path: Path, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Map an array that `numpy.save` wrote; nothing is read before it is needed.

    Raises:
        RunError: the file is missing, cut short, or of another shape or dtype.

    """
    try:
        array = np.load(path, mmap_mode="c" if shape[0] else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = first_line(error)
        raise RunError(f"{path}: damaged: {reason}; build the index again") from error
    if array.shape != shape or array.dtype != dtype:
        raise RunError(
            f"{path}: holds {array.dtype} {list(array.shape)} where the index has"
            f" {np.dtype(dtype)} {list(shape)}; build the index again"
        )
    return array
