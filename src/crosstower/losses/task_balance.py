"""Balancing of several tasks' losses: fixed weights, or weights by uncertainty.

A `Balance` combines the losses of all tasks, given their weights in the recipe (`Task.weight`), and
writes gradients to the parameters. Its state is kept in checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from crosstower.recipe.tasks import HeadKind


class Balance(Protocol):
    """Interface of a task balance: combines T losses into one step."""

    def total(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the combined loss, a scalar.

        Args:
            losses: `[T]`, mean loss of each task over the batch's rows with a label.
            labelled: `[T]`, whether the batch has any label of the task.

        """
        ...

    def backward(self, total: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Write gradients to `parameters`, once for each `total`."""
        ...

    def log_values(self) -> list[float]:
        """Return the current weight of each task's loss."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return the state that a resumed training run needs."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a state returned by `state`."""
        ...


class StaticBalance:
    """Fixed weights: Σ_t w_t · L_t.

    >>> import torch
    >>> balance = StaticBalance([1.0, 0.5])
    >>> balance.total(torch.tensor([2.0, 4.0]), torch.tensor([True, True]))
    tensor(4.)

    Args:
        weights: w_t of the T tasks.

    """

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = torch.tensor(weights)

    def total(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the weighted sum; a task without labels has a loss of 0."""
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
        """Return an empty state."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Do nothing."""


class UncertaintyBalance:
    """Uncertainty weighting: Σ_t w_t · (c_t · exp(-s_t) · L_t + s_t / 2), s_t = log σ_t² learned.

    Kendall et al. 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses", equations 7 and
    10: c_t is 1/2 for a squared error and 1 for a cross-entropy. σ_t² of a regression converges to
    its noise variance. s_t starts at its optimum for the first batch and then follows its own
    gradient, which is invariant to the scale of the loss: labels in seconds or milliseconds train
    alike. The weights w_t of the recipe multiply the result.

    >>> import torch
    >>> balance = UncertaintyBalance([1.0, 1.0], ["binary", "regression"])
    >>> total = balance.total(torch.tensor([0.5, 800.0]), torch.tensor([True, True]))
    >>> [round(weight * loss, 2) for weight, loss in zip(balance.log_values(), [0.5, 800.0])]
    [0.5, 0.5]

    Args:
        weights: w_t of the T tasks.
        kinds: of the T tasks.
        rate: learning rate of s_t.

    """

    def __init__(
        self, weights: Sequence[float], kinds: Sequence[HeadKind], *, rate: float = 0.02
    ) -> None:
        self.weights, self.rate = torch.tensor(weights), rate
        self.factor = torch.tensor([0.5 if kind == "regression" else 1.0 for kind in kinds])
        self.log_variance = torch.full((len(weights),), torch.nan)

    def total(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return the weighted sum, and update the variances."""
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
        """Return the logarithms of the variances, s_t."""
        return {"log_variance": self.log_variance}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the logarithms of the variances, s_t."""
        self.log_variance = state["log_variance"]
