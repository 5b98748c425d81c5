"""Losses from logits; missing labels (NaN) take no part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from crosstower.data.layout import Head
from crosstower.recipe.tasks import HeadKind


def task_loss(kind: HeadKind, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss of one head over the rows that have a label; 0 without any.

    Binary heads: cross-entropy. Rating heads: cross-entropy with the label scaled to [0, 1],
    whose minimiser is the mean rating. Regression heads: squared error of the standardised label.

    Args:
        kind: of the head.
        logits: `[B]`.
        labels: `[B]`, NaN where missing.

    """
    known = ~labels.isnan()
    loss = _LOSSES[kind](logits, labels.nan_to_num(0.0))
    return torch.where(known, loss, 0.0).sum() / known.sum().clamp(min=1)


def task_losses(
    logits: dict[str, Tensor], labels: Tensor, heads: Sequence[Head]
) -> tuple[Tensor, Tensor]:
    """Return each head's loss `[T]`, and whether it has any label, for labels `[B, T]`."""
    losses = [task_loss(h.kind, logits[h.name], labels[:, i]) for i, h in enumerate(heads)]
    return torch.stack(losses), (~labels.isnan()).any(0)


def labelled_rows(labels: Tensor) -> Tensor:
    """Return how many rows have a label of each head `[T]`, for labels `[B, T]`."""
    return (~labels.isnan()).sum(0)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def _squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits - labels) ** 2


_LOSSES: dict[HeadKind, Callable[[Tensor, Tensor], Tensor]] = {
    "binary": _cross_entropy,
    "rating": _cross_entropy,
    "regression": _squared_error,
}
