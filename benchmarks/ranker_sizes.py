"""Rankers at an equal number of dense parameters: all weights but tables and wide weights."""

from typing import Any

import torch

from crosstower.data.layout import Layout
from crosstower.models.registry import build
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.wide import WideLinear

DIM, TOLERANCE = 8, 0.05
REFERENCE: dict[str, Any] = {"name": "gdcn", "cross_layers": 2, "hidden": (128, 64)}
"""Its size is that of all others."""

FIXED: dict[str, dict[str, Any]] = {
    "mlp": {},
    "wide_deep": {},
    "dcn_v2": {},
    "deepfm": {},
    "dlrm": {},
    "autoint": {},
    "masknet": {"reduction_ratio": 0.5},
    "finalmlp": {"fusion_heads": 2},
    "gdcn": {"cross_layers": 2},
    "wukong": {},
}
"""Options that are not their defaults; `hidden` is chosen for the size."""


def options(name: str, width: int) -> dict[str, Any]:
    """Return a model whose layers have `width` and half of it."""
    hidden = (width, max(width // 2, 1))
    more = {"machine_hidden": (width // 2,)} if name == "wukong" else {}
    return {"name": name, "embedding_dim": DIM, "hidden": hidden, **FIXED[name], **more}


def sized(name: str, layout: Layout, target: int) -> dict[str, Any]:
    """Return the options of a model with `target` dense parameters.

    Raises:
        SystemExit: no width is within the tolerance.

    """
    low, high = 4, 4096
    while high - low > 4:  # the size grows with the width
        middle = (low + high) // 8 * 4
        below = dense_parameters(layout, options(name, middle)) < target
        low, high = (middle, high) if below else (low, middle)
    near = [options(name, width) for width in range(max(low - 8, 4), high + 9, 4)]
    found = min(near, key=lambda model: abs(dense_parameters(layout, model) - target))
    size = dense_parameters(layout, found)
    if abs(size - target) > TOLERANCE * target:
        raise SystemExit(f"{name}: {size:,} dense parameters at best, expected {target:,} ± 5 %")
    return found


def dense_parameters(layout: Layout, model: dict[str, Any]) -> int:
    """Return the number of parameters of a model without its tables and wide weights."""
    with torch.device("meta"):
        network = build(layout, model)
    tables = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, EmbeddingStore | WideLinear)
        for name, parameter in module.named_parameters()
        if "pools" not in name
    }
    return sum(p.numel() for p in network.parameters() if id(p) not in tables)


def target_of(layout: Layout) -> int:
    """Return the number of dense parameters of the reference."""
    return dense_parameters(layout, {**REFERENCE, "embedding_dim": DIM})
