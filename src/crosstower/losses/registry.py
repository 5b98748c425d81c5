"""Losses by name: a new one is a function with `@register_loss`, here or in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal, Protocol

from torch import Tensor

from crosstower.recipe.registry import Registry
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.tasks import HeadKind, Task

LossKind = Literal["binary", "regression", "rating", "retrieval"]

DEFAULT_LOSS: Mapping[HeadKind, str] = {
    "binary": "cross_entropy",
    "rating": "cross_entropy",
    "regression": "squared_error",
}
"""The loss of a task that names none."""


@dataclass(frozen=True)
class Loss:
    """A registered loss. `register_loss` documents its parts."""

    name: str
    compute: Callable[..., Tensor]
    _: KW_ONLY
    kinds: tuple[LossKind, ...]


@dataclass(frozen=True)
class Candidates:
    """Candidates of a batch: its positives and the sampled negatives, each item once.

    >>> import torch
    >>> drawn = Candidates(torch.eye(3), torch.tensor([0, 2]), torch.tensor([1, 4, 1]), None)
    >>> drawn.vectors[drawn.positive].shape
    torch.Size([2, 3])

    Args:
        vectors: `[C, D]`, distinct items.
        positive: `[B]`, position of each query's positive among the candidates.
        counts: `[C]`, number of draws as a negative.
        log_q: `[C]`, log of the expected number of draws; None without `retrieval.log_q`.

    """

    vectors: Tensor
    positive: Tensor
    counts: Tensor
    log_q: Tensor | None


class RetrievalStep(Protocol):
    """Input of a retrieval loss: one batch of (query, item) pairs."""

    @property
    def section(self) -> Retrieval:
        """The `retrieval` section of the recipe, with the options of the loss."""
        ...

    @property
    def queries(self) -> Tensor:
        """Query vectors `[B, D]`."""
        ...

    @property
    def scaled_queries(self) -> Tensor:
        """Query vectors divided by the temperature `[B, D]`; dot products with items are logits."""
        ...

    @property
    def distinct_queries(self) -> Tensor:
        """Query vectors divided by the temperature `[Q, D]`, those that pairs share once."""
        ...

    @property
    def owner(self) -> Tensor | None:
        """The distinct query of each pair `[B]`, ascending; None if each pair has its own."""
        ...

    @property
    def positives(self) -> Tensor:
        """The item of each pair `[B]`, as a position in the catalogue."""
        ...

    @property
    def own(self) -> slice:
        """The pairs of the whole batch whose queries this process has; all of them if alone."""
        ...

    @property
    def all_positives(self) -> Tensor:
        """The item of each pair of the whole batch; the `positives` are its `own`."""
        ...

    @property
    def items(self) -> int:
        """Number of items in the catalogue."""
        ...

    def shared_vectors(self, places: Tensor) -> Tensor:
        """Return item vectors `[n, D]` at positions that are the same in all processes."""
        ...

    def vectors(self, places: Tensor | None = None) -> Tensor:
        """Return item vectors `[n, D]` at some positions of the catalogue; all of them if None."""
        ...

    def uniform(self) -> Tensor:
        """Return `retrieval.negatives.uniform` items drawn uniformly from the catalogue."""
        ...

    def candidates(self) -> Candidates:
        """Return candidates drawn according to `retrieval.negatives`."""
        ...


LOSSES = Registry[Loss]("loss", package="crosstower.losses")

register_loss = LOSSES.decorator(
    "register_loss",
    Loss,
    doc="""Return a decorator that registers a function as a loss.

    A loss of tasks takes logits `[B]` and labels `[B]` and returns one value per row `[B]`; rows
    without a label are excluded from the mean. Labels are 0 or 1 for a binary task, in [0, 1] for a
    rating, standardised for a regression. A loss of kind "retrieval" takes a `RetrievalStep` and
    returns the mean loss of the batch, a scalar. `docs/extending.md` has examples.

    Args:
        name: value of a task's `loss`, or of `retrieval.objective`.
        kinds: kinds of tasks that it applies to, or "retrieval".

    Raises:
        RecipeError: another module has registered the name.

    """,
)


def loss_of(kind: LossKind, name: str, *, where: str) -> Loss:
    """Return a loss of a kind.

    Args:
        kind: what it is to apply to.
        name: of the loss.
        where: the key of the recipe that names it, for messages.

    Raises:
        RecipeError: there is no such loss, or it is for another kind.

    """
    return LOSSES.get(name, where=f"{where}: for {kind}", fits=lambda loss: kind in loss.kinds)


def task_losses_of(tasks: Mapping[str, Task]) -> dict[str, Loss]:
    """Return the loss of each task.

    Raises:
        RecipeError: a task names a loss that does not exist, or that is for another kind.

    """
    return {
        name: LOSSES.get(
            task.loss or DEFAULT_LOSS[task.kind],
            where=f"schema.tasks.{name}.loss: for {task.kind}",
            fits=lambda loss, kind=task.kind: kind in loss.kinds,
        )
        for name, task in tasks.items()
    }
