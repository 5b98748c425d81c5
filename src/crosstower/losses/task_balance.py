"""How the losses of several tasks become one step.

A `Balance` is told the losses of all tasks and how much each is wanted (`Task.weight`), and leaves
gradients on the parameters. What it learns on the way is its state, kept in checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from crosstower.recipe.tasks import HeadKind


class Balance(Protocol):
    """Weighs tasks against one another."""

    def total(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the value to watch and to differentiate.

        Args:
            losses: `[T]`, mean loss of each task over the rows of the batch that have a label.
            labelled: `[T]`, whether the batch has any label of the task.

        """
        ...

    def backward(self, total: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Leave gradients on `parameters`, once for each `total`."""
        ...

    def log_values(self) -> list[float]:
        """Return the weight of each task's loss at the moment."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed training needs."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        ...


class StaticBalance:
    """Σ_t w_t · L_t with the weights of the recipe."""

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = torch.tensor(weights)

    def total(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the weighted sum; a task without labels has the loss 0."""
        del labelled
        return (self.weights.to(losses) * losses).sum()

    def backward(self, total: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Differentiate the sum."""
        del parameters
        total.backward()

    def log_values(self) -> list[float]:
        """Return the weights of the recipe."""
        return self.weights.tolist()

    def state(self) -> dict[str, Tensor]:
        """Return nothing: there is no state."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Do nothing."""


class UncertaintyBalance:
    """Σ_t w_t · (c_t · exp(-s_t) · L_t + s_t / 2), s_t = log σ_t² free and learnt.

    Kendall et al. 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses", equations 7 and
    10: c_t is 1/2 for a squared error and 1 for a cross-entropy. A regression's σ_t² becomes the
    variance of its noise. s_t starts at its optimum for the first batch and then goes down its own
    gradient, which does not know the scale of the loss: a task in seconds and one in milliseconds
    train alike. The weights w_t of the recipe stay a preference on top.
    """

    def __init__(
        self, weights: Sequence[float], kinds: Sequence[HeadKind], *, rate: float = 0.02
    ) -> None:
        self.weights, self.rate = torch.tensor(weights), rate
        self.factor = torch.tensor([0.5 if kind == "regression" else 1.0 for kind in kinds])
        self.log_variance = torch.full((len(weights),), torch.nan)

    def total(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the weighted sum, and move the variances along their gradients."""
        known, factor, weights = self._moved(losses, labelled)
        parts = factor * (-known).exp() * losses + known / 2  # [T]
        return torch.where(labelled, weights * parts, 0.0).sum()

    def _moved(self, losses: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        factor, weights = self.factor.to(losses), self.weights.to(losses)
        cost = (2 * factor * losses.detach()).clamp(min=1e-12)
        before = self.log_variance.to(losses)
        used = torch.where(before.isnan() & labelled, cost.log(), before)  # [T]
        slope = 0.5 - 0.5 * (-used).exp() * cost  # of the sum, without the preference
        after = torch.where(labelled, used - self.rate * slope.clamp(min=-5.0), used)
        self.log_variance = after.cpu()
        return used.nan_to_num(0.0), factor, weights

    def backward(self, total: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Differentiate the sum."""
        del parameters
        total.backward()

    def log_values(self) -> list[float]:
        """Return w_t · c_t · exp(-s_t); NaN before a task's first label."""
        return (self.weights * self.factor * (-self.log_variance).exp()).tolist()

    def state(self) -> dict[str, Tensor]:
        """Return the logarithms of the variances."""
        return {"log_variance": self.log_variance}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back the logarithms of the variances."""
        self.log_variance = state["log_variance"]
