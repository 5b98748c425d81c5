"""Losses of tasks from logits and labels, and the objective of a ranker; NaN labels are ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Head, Layout
from crosstower.errors import RecipeError
from crosstower.losses.registry import DEFAULT_LOSS, LOSSES, Loss, register_loss
from crosstower.losses.task_balance import Balance
from crosstower.nn.world import ALONE, World
from crosstower.recipe.tasks import HeadKind


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
    total, known = _summed_loss(kind, logits, labels, loss)
    return total / known.clamp(min=1)


def _summed_loss(
    kind: HeadKind,
    logits: Tensor,
    labels: Tensor,
    loss: Loss | None,
    *,
    weights: Tensor | None = None,
    groups: BatchGroups | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the sum of one head's loss over its labelled rows, and their number."""
    known = ~labels.isnan()
    chosen = LOSSES.get(DEFAULT_LOSS[kind]) if loss is None else loss
    if chosen.grouped:
        found = _grouped_losses(chosen, logits, labels, groups)
    else:
        found = _row_losses(chosen, logits, labels.nan_to_num(0.0))
    if weights is not None:
        found = found * weights
    return torch.where(known, found, 0.0).sum(), known.sum()


def task_losses(
    logits: dict[str, Tensor],
    labels: Tensor,
    heads: Sequence[Head],
    losses: Mapping[str, Loss] | None = None,
    world: World = ALONE,
    *,
    weights: Tensor | None = None,
    groups: BatchGroups | None = None,
) -> tuple[Tensor, Tensor]:
    """Return each head's loss `[T]`, and whether it has any label `[T]`.

    A loss is the sum over the labelled rows, each times its weight, divided by their number.

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
        world: whose processes each have a part of the rows; the losses are those of all rows.
        weights: `[B, T]`, 0 or more; 1 if None.
        groups: of the rows, for losses that compare them.

    """
    own = losses or {}
    found = [
        _summed_loss(
            head.kind,
            logits[head.name],
            labels[:, i],
            own.get(head.name),
            weights=None if weights is None else weights[:, i],
            groups=groups,
        )
        for i, head in enumerate(heads)
    ]
    totals = torch.stack([total for total, _ in found])
    counts = torch.stack([count for _, count in found]).to(totals.dtype)
    totals, counts = world.sum(torch.cat([totals, counts])).chunk(2)
    return totals / counts.clamp(min=1), counts > 0


@dataclass(frozen=True)
class BatchGroups:
    """The groups of all rows of a batch; this process may have only a part of the rows.

    Args:
        codes: `[total]`, int64 codes from 0, of the rows of all processes.
        world: whose processes each have a part of the rows.

    """

    codes: Tensor
    world: World = ALONE

    @staticmethod
    def of(batch: Batch, world: World) -> BatchGroups | None:
        """Return the groups of a batch; None if its rows have none."""
        if batch.groups is None:
            return None
        own = batch.groups[: _rows_in(batch.total, world)]
        ids = world.all_rows(own, batch.total)
        return BatchGroups(torch.unique(ids, return_inverse=True)[1], world)


def _rows_in(total: int, world: World) -> int:
    """Return the rows of this process, without one that only fills an empty part."""
    return len(range(total)[world.part(total)])


def _grouped_losses(
    loss: Loss, logits: Tensor, labels: Tensor, groups: BatchGroups | None
) -> Tensor:
    """Return the loss of each row of this process `[B]`, compared with the rows of all.

    Every process computes the losses of all rows and keeps those of its own, so that a group may be
    divided among processes.

    Raises:
        RecipeError: the rows have no groups, or the function returns something else.

    """
    if groups is None:
        raise RecipeError(
            f"loss '{loss.name}': compares the rows of a group, and the batch has no groups; set"
            " training.group to a column, such as the request or the session"
        )
    total, world = len(groups.codes), groups.world
    rows = _rows_in(total, world)
    table = torch.stack([logits, labels.nan_to_num(0.0), (~labels.isnan()).to(logits.dtype)], 1)
    every = world.all_rows(table[:rows], total)  # [total, 3]
    known = every[:, 2].detach() > 0
    found = _row_losses(loss, every[known, 0], every[known, 1].detach(), groups.codes[known])
    whole = every.new_zeros(total).masked_scatter(known, found)[world.part(total)]
    return torch.cat([whole, logits[rows:] * 0.0])


def _row_losses(loss: Loss, logits: Tensor, labels: Tensor, *groups: Tensor) -> Tensor:
    """Return the loss of each row `[B]`.

    Raises:
        RecipeError: the function returns something else.

    """
    found: Any = loss.compute(logits, labels, *groups)
    if not isinstance(found, Tensor) or found.shape != logits.shape:
        given = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise RecipeError(
            f"loss '{loss.name}': its function must return one value per row"
            f" {list(logits.shape)}, got {given}"
        )
    return found


class PointwiseObjective:
    """The losses of all heads, combined by a `Balance`.

    >>> import torch, crosstower as ct
    >>> heads = (ct.Head("click", "binary"),)
    >>> layout = ct.Layout(codes=(), numbers=("age",), lists=(), heads=heads)
    >>> objective = PointwiseObjective(layout, ct.losses.StaticBalance([1.0]))
    >>> model = ct.models.build(layout, {"name": "logistic_regression"})
    >>> batch = ct.Batch(torch.zeros(4, 0), torch.ones(4, 1), {}, torch.tensor([[0.0, 1, 1, 0]]).T)
    >>> objective.loss(model, batch).detach()  # log 2, as all weights start at zero
    tensor(0.6931)

    Args:
        layout: with T heads.
        balance: of the T losses.
        losses: by head; heads without one use the default loss of their kind.
        world: whose processes each have a part of a batch.

    """

    def __init__(
        self,
        layout: Layout,
        balance: Balance,
        losses: Mapping[str, Loss] | None = None,
        *,
        world: World = ALONE,
    ) -> None:
        self.layout, self.balance, self.losses, self.world = layout, balance, losses, world

    def begin_epoch(self, model: nn.Module) -> None:
        """Do nothing: labels are the same in every epoch."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch, in float32 for every precision of the model."""
        self.world.computing(batch.total)
        full = {name: logit.float() for name, logit in model(batch).items()}
        heads = self.layout.heads
        losses, labelled = task_losses(
            full,
            batch.labels,
            heads,
            self.losses,
            self.world,
            weights=batch.weights,
            groups=BatchGroups.of(batch, self.world),
        )
        return self.balance.total(losses, labelled)

    def rows(self, batch: Any) -> Tensor:
        """Return the number of labelled rows of each head `[T]`."""
        return self.world.sum((~batch.labels.isnan()).sum(0))

    def backward(self, model: nn.Module, loss: Tensor) -> None:
        """Write the gradients of the last loss to the parameters."""
        self.balance.backward(loss, model.parameters())

    def describe(self, batch: Any) -> list[str]:
        """Return one line per number and label column: minimum, mean and maximum."""
        return column_statistics(self.layout, batch)

    def log_values(self) -> dict[str, float]:
        """Return the current weight of each task's loss."""
        names = [f"weight.{head.name}" for head in self.layout.heads]
        return dict(zip(names, self.balance.log_values(), strict=True))

    def state(self) -> dict[str, Tensor]:
        """Return the state of the balance."""
        return self.balance.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the state of the balance."""
        self.balance.restore(state)


def column_statistics(layout: Layout, batch: Batch) -> list[str]:
    """Return one line per number and label column: minimum, mean and maximum."""
    lines: list[str] = []
    named = [(n, batch.numbers[:, i]) for i, n in enumerate(layout.numbers)]
    named += [(f"label {h.name}", batch.labels[:, i]) for i, h in enumerate(layout.heads)]
    for name, values in named:
        known = values[~values.isnan()] if name.startswith("label ") else values
        if len(known):
            low, mean, high = (float(f(known)) for f in (torch.min, torch.mean, torch.max))
            lines.append(f"  {name}: min {low:.4g}, mean {mean:.4g}, max {high:.4g}")
    return lines
