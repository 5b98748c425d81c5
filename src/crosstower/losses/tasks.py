"""Losses of tasks from logits and labels; missing labels (NaN) are ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from crosstower.data.layout import Head
from crosstower.losses.registry import DEFAULT_LOSS, LOSSES, Loss, register_loss, row_losses
from crosstower.recipe.tasks import HeadKind


def task_loss(
    kind: HeadKind, logits: Tensor, labels: Tensor, *, loss: Loss | None = None
) -> Tensor:
    """Return the mean loss of one head over its labelled rows; 0 without any.

    >>> import torch
    >>> logits, labels = torch.zeros(3), torch.tensor([1.0, 0.0, torch.nan])
    >>> round(float(task_loss("binary", logits, labels)), 4)
    0.6931

    Args:
        kind: of the head.
        logits: `[B]`.
        labels: `[B]`, NaN where missing.
        loss: to compute; that of the kind if None: `cross_entropy` of binary and rating heads,
            `squared_error` of regression heads.

    Raises:
        RecipeError: the loss does not return one value per row.

    """
    known = ~labels.isnan()
    chosen = LOSSES.get(DEFAULT_LOSS[kind]) if loss is None else loss
    found = row_losses(chosen, logits, labels.nan_to_num(0.0))
    return torch.where(known, found, 0.0).sum() / known.sum().clamp(min=1)


def task_losses(
    logits: dict[str, Tensor],
    labels: Tensor,
    heads: Sequence[Head],
    losses: Mapping[str, Loss] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return each head's loss `[T]`, and whether it has any label `[T]`.

    >>> import torch, crosstower as ct
    >>> heads = (ct.Head("click", "binary"), ct.Head("watch_time", "regression"))
    >>> logits = {"click": torch.zeros(2), "watch_time": torch.zeros(2)}
    >>> labels = torch.tensor([[1.0, torch.nan], [0.0, torch.nan]])
    >>> task_losses(logits, labels, heads)
    (tensor([0.6931, 0.0000]), tensor([ True, False]))

    Args:
        logits: `[B]` by head.
        labels: `[B, T]`, NaN where missing.
        heads: in the order of the labels.
        losses: by head; a head without one has the loss of its kind.

    """
    own = losses or {}
    found = [
        task_loss(head.kind, logits[head.name], labels[:, i], loss=own.get(head.name))
        for i, head in enumerate(heads)
    ]
    return torch.stack(found), (~labels.isnan()).any(0)


def labelled_rows(labels: Tensor) -> Tensor:
    """Return the number of labelled rows per head `[T]`, for labels `[B, T]`."""
    return (~labels.isnan()).sum(0)


@register_loss("cross_entropy", kinds=("binary", "rating"))
def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross-entropy of each row `[B]`.

    The label of a rating is scaled to [0, 1]; the minimiser is the mean rating.

    >>> import torch
    >>> cross_entropy(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor([0.6931, 0.1269])

    Args:
        logits: `[B]`.
        labels: `[B]`, in [0, 1].

    """
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


@register_loss("squared_error", kinds=("regression",))
def squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the squared error of each row `[B]`.

    >>> import torch
    >>> squared_error(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor([1., 1.])

    Args:
        logits: `[B]`, predictions of the standardised label.
        labels: `[B]`, standardised.

    """
    return (logits - labels) ** 2
