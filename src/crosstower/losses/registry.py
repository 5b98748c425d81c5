"""Losses by name: a new one is a function with `@register_loss`, here or in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from inspect import Parameter, signature
from typing import Any, Literal, Protocol, get_args, get_type_hints

from pydantic import create_model
from torch import Tensor

from crosstower.data.ragged import Ragged
from crosstower.errors import RecipeError
from crosstower.losses.label_smoothing import with_labels
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.registry import Registry
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.tasks import Binary, HeadKind, Task
from crosstower.recipe.validation import validate

LossKind = Literal["binary", "regression", "rating", "retrieval"]
Negatives = Literal["drawn", "uniform", "all"]

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
    grouped: bool = False
    calibrated: bool = True
    negatives: Negatives | None = None
    cosines: bool = False

    def __post_init__(self) -> None:
        """Reject parts that do not fit."""
        if self.negatives is not None and self.negatives not in get_args(Negatives):
            allowed = ", ".join(get_args(Negatives))
            raise RecipeError(
                f"loss '{self.name}': negatives: expected one of {allowed}, got {self.negatives!r}"
            )
        if (self.negatives or self.cosines) and self.kinds != ("retrieval",):
            raise RecipeError(
                f"loss '{self.name}': negatives and cosines are for kinds=('retrieval',) only"
            )


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
        """The distinct query of each pair `[B]`; None if each pair has its own.

        It is ascending for losses with `negatives="all"`, such as full_softmax.
        """
        ...

    @property
    def history(self) -> Ragged | None:
        """Items of each distinct query's history `[Q]`, as positions in the catalogue.

        None if histories are in order, or if there are none.
        """
        ...

    @property
    def positives(self) -> Tensor:
        """The item of each pair `[B]`, as a position in the catalogue."""
        ...

    @property
    def own(self) -> slice:
        """The pairs of the whole batch whose queries this process has (all for one process)."""
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
    rating, standardised for a regression. Keyword arguments of the function are options of the
    recipe, as in `loss: {name: jrc, alpha: 0.9}`. A loss of kind "retrieval" takes a
    `RetrievalStep` and returns the mean loss of the batch, a scalar; its options are those of
    `objective: {name: gbce, calibration: 0.5}`. `docs/extending.md` has examples.

    Args:
        name: value of a task's `loss`, or of `retrieval.objective`.
        kinds: kinds of tasks that it applies to, or "retrieval".
        grouped: whether it compares the rows of a group (`training.group`). It then takes the
            labelled rows of whole groups, and their groups `[B]` as codes from 0.
        calibrated: whether its logits are log odds or predictions; False if only their order
            counts.
        negatives: of a retrieval loss: "drawn" by `retrieval.negatives`, only its "uniform" ones,
            or "all" items. Options of the recipe without an effect are then errors; None checks
            none.
        cosines: whether a retrieval loss compares cosines, so that vectors must be normalised.

    Raises:
        RecipeError: another module has registered the name.

    """,
)


def retrieval_loss_of(section: Retrieval) -> Loss:
    """Return the loss of a retrieval recipe, with its options.

    Raises:
        RecipeError: there is no such loss, it is for tasks, an option is wrong, or the negatives
            do not fit it.

    """
    key, name = "retrieval.objective", section.objective_name
    loss = LOSSES.get(
        name, where=f"{key}: for retrieval", fits=lambda loss: "retrieval" in loss.kinds
    )
    _check_negatives(section, loss)
    return replace(loss, compute=_with_options(loss, section.objective_options, where=key))


def _check_negatives(section: Retrieval, loss: Loss) -> None:
    """Reject options of negatives that have no effect on a loss, or that leave it none."""
    given, negatives = section.model_fields_set, section.negatives
    if loss.negatives == "all" and given & {"negatives", "log_q", "mask_accidental"}:
        raise RecipeError(
            f"retrieval.objective: {loss.name} uses every item; drop negatives, log_q and"
            " mask_accidental"
        )
    if loss.negatives == "uniform" and (
        negatives.uniform == 0 or "log_q" in given or "in_batch" in negatives.model_fields_set
    ):
        raise RecipeError(
            f"retrieval.objective: {loss.name} needs uniform negatives; set negatives.uniform, and"
            " drop in_batch and log_q"
        )
    if loss.negatives == "drawn" and not (
        negatives.in_batch or negatives.uniform or negatives.hard
    ):
        raise RecipeError(
            "retrieval.negatives: none are left; keep in_batch, or set uniform or hard"
        )


def task_losses_of(
    tasks: Mapping[str, Task], shares: Mapping[str, float] | None = None
) -> dict[str, Loss]:
    """Return the loss of each task, with its options, class weights and smoothed labels.

    Args:
        tasks: by name.
        shares: of the label 1 among the training rows, by task with `class_weight: balanced`. None
            before the rows are read: the classes of such a task then have the same weight.

    Raises:
        RecipeError: a task names a loss that does not exist, or that is for another kind; an
            option is wrong, or the loss has no use for it; a share is missing.

    """
    return {name: _task_loss_of(name, task, shares) for name, task in tasks.items()}


def _task_loss_of(name: str, task: Task, shares: Mapping[str, float] | None) -> Loss:
    key = f"schema.tasks.{name}.loss"
    given, options = task.loss_name, task.loss_options
    share = (shares or {}).get(name)
    weights = task.class_weights(share) if isinstance(task, Binary) else (1.0, 1.0)
    loss = LOSSES.get(
        given or DEFAULT_LOSS[task.kind],
        where=f"{key}: for {task.kind}",
        fits=lambda loss: task.kind in loss.kinds,
    )
    loss = replace(loss, compute=_with_options(loss, options, where=key))
    if not isinstance(task, Binary):
        return loss
    _check_labels(name, task, loss)
    if task.class_weight == "balanced" and shares is not None and name not in shares:
        raise RecipeError(
            f"schema.tasks.{name}.class_weight: balanced, but the share of the label 1 is unknown,"
            " as the rows were prepared without it; prepare them again"
        )
    compute = with_labels(loss.compute, weights=weights, smoothing=task.label_smoothing)
    return replace(loss, compute=compute)


def _with_options(loss: Loss, given: Mapping[str, Any], *, where: str) -> Callable[..., Tensor]:
    """Return the function of a loss with checked options."""
    if not given:
        return loss.compute
    hints = get_type_hints(loss.compute, include_extras=True)
    known: dict[str, Any] = {
        name: (hints.get(name, Any), parameter.default)
        for name, parameter in signature(loss.compute).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    }
    options = create_model("Options", __base__=FrozenModel, **known)
    return partial(loss.compute, **validate(options, dict(given), where=where).model_dump())


def _check_labels(name: str, task: Binary, loss: Loss) -> None:
    """Reject class weights and smoothing that a loss would not follow."""
    where = f"schema.tasks.{name}"
    if task.class_weight not in (None, {0: 1.0, 1: 1.0}) and not loss.calibrated:
        raise RecipeError(
            f"{where}.class_weight: {task.class_weight} has no effect on the order that loss"
            f" '{loss.name}' learns; remove it, or use cross_entropy or jrc"
        )
    if task.label_smoothing > 0.0 and loss.grouped:
        raise RecipeError(
            f"{where}.label_smoothing: {task.label_smoothing:g} needs a loss of single rows, and"
            f" '{loss.name}' compares rows by their labels; remove it, or use cross_entropy"
        )
