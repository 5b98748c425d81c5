"""Smoothed labels and class weights of the loss of a binary task."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def with_labels(
    compute: Callable[..., Tensor],
    *,
    weights: tuple[float, float] = (1.0, 1.0),
    smoothing: float = 0.0,
) -> Callable[..., Tensor]:
    """Return the loss of a binary task with class weights and smoothed labels.

    The label y becomes y · (1 - smoothing) + smoothing / 2 (Szegedy et al. 2016), and the loss of
    a row is multiplied by the weight of y.

    >>> import torch
    >>> from crosstower.losses.pointwise import cross_entropy
    >>> weighted = with_labels(cross_entropy, weights=(1.0, 3.0))
    >>> weighted(torch.zeros(2), torch.tensor([1.0, 0.0]))
    tensor([2.0794, 0.6931])

    Args:
        compute: takes logits `[B]`, labels `[B]` and perhaps groups, and returns the losses `[B]`.
        weights: of rows with the labels 0 and 1, above 0.
        smoothing: in [0, 1).

    """
    if weights == (1.0, 1.0) and smoothing == 0.0:
        return compute
    negative, positive = weights

    def changed(logits: Tensor, labels: Tensor, *groups: Tensor) -> Tensor:
        smoothed = labels * (1.0 - smoothing) + smoothing / 2.0
        found = compute(logits, smoothed if smoothing else labels, *groups)
        return found * labels.new_tensor(positive).where(labels == 1.0, negative)

    return changed
