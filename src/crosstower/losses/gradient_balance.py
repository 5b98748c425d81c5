"""Task balancing by gradients: GradNorm and PCGrad."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from crosstower.losses.gradients import TaskGradients, project_conflicts


class _GradientBalance:
    """Keeps the losses of a step until `backward`."""

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = torch.tensor(weights)
        self._losses = torch.zeros(0)
        self._labelled = torch.zeros(0)

    def total(self, losses: Tensor, labelled: Tensor) -> Tensor:
        """Return Σ_t w_t · L_t, for logging; the gradients come from the separate losses."""
        self._losses, self._labelled = losses, labelled
        return (self.weights.to(losses) * losses).sum()

    def _gradients(self, parameters: Iterable[nn.Parameter]) -> TaskGradients:
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = TaskGradients.of(list(self._losses.unbind()), trained)
        self._losses = self._losses.detach()
        return gradients


class PCGradBalance(_GradientBalance):
    """PCGrad (Yu et al. 2020, algorithm 1): project conflicting gradients onto each other's normal.

    The weights w_t of the recipe scale each task's gradient before the projections.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> losses = torch.stack([weight[0] + weight[1], weight[1] - 2 * weight[0]])
    >>> balance = PCGradBalance([1.0, 1.0])
    >>> balance.backward(balance.total(losses, torch.tensor([True, True])), [weight])
    >>> weight.grad
    tensor([-0.9000,  2.7000])

    Args:
        weights: w_t of the T tasks.

    """

    def backward(self, total: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Project the tasks' gradients and write their sum to the parameters."""
        del total
        gradients = self._gradients(parameters)
        for values, weight in zip(gradients.values, self.weights.tolist(), strict=True):
            values[:] = [None if v is None else weight * v for v in values]
        tasks = range(len(gradients.values))
        orders = [torch.randperm(len(gradients.values)).tolist() for _ in tasks]
        project_conflicts(gradients, [[j for j in orders[i] if j != i] for i in tasks])
        gradients.write([1.0] * len(gradients.values))

    def log_values(self) -> list[float]:
        """Return the weights of the recipe."""
        return self.weights.tolist()

    def state(self) -> dict[str, Tensor]:
        """Return an empty state."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Do nothing."""


class GradNormBalance(_GradientBalance):
    """GradNorm (Chen et al. 2018): equalise the tasks' gradient norms on shared parameters.

    G_t = v_t · ‖∇L_t‖ over the shared parameters is driven to r_t^alpha times the mean of all G,
    where r_t is L_t / L_t(0) divided by its mean over tasks: tasks that lag get larger gradients.
    The weights v start at equal G and follow the gradient of Σ_t |G_t - mean G · r_t^alpha|
    (equation 2). They are updated as logarithms, which keeps them positive at any scale of the
    losses, and sum to T. The weights w_t of the recipe multiply the result.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> losses = torch.stack([weight[0] * 100, weight[0]])
    >>> balance = GradNormBalance([1.0, 1.0])
    >>> balance.backward(balance.total(losses, torch.tensor([True, True])), [weight])
    >>> small, large = balance.log_values()
    >>> round(large / small)
    100

    Args:
        weights: w_t of the T tasks.
        alpha: strength of the correction for lagging tasks; 0 only equalises the norms.
        rate: learning rate of the logarithms of v.

    """

    def __init__(
        self, weights: Sequence[float], *, alpha: float = 1.5, rate: float = 0.025
    ) -> None:
        super().__init__(weights)
        self.alpha, self.rate = alpha, rate
        self.balance = torch.ones(len(weights), dtype=torch.float64)
        self.first_loss = torch.full((len(weights),), torch.nan, dtype=torch.float64)

    def backward(self, total: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Write the balanced gradient to the parameters, then update the weights v."""
        del total
        gradients = self._gradients(parameters)
        tasks = range(len(gradients.values))
        shared = {p for i in tasks for j in tasks if i < j for p in gradients.shared(i, j)}
        pulls = [gradients.norm(t, sorted(shared)) for t in tasks]
        norms = torch.tensor(pulls, dtype=torch.float64)
        losses, labelled = self._losses.double().cpu(), self._labelled.cpu()
        self._start(losses, labelled & (norms > 0), norms)
        gradients.write((self.weights * self.balance).tolist())
        self._move(losses, labelled & (norms > 0), norms)

    def _start(self, losses: Tensor, active: Tensor, norms: Tensor) -> None:
        """Initialise v of tasks with their first labels: their G becomes the others' mean."""
        fresh = self.first_loss.isnan() & active
        if not fresh.any():
            return
        known = active & ~fresh
        pull = (self.balance * norms)[known].mean() if known.any() else torch.ones(())
        self._set(torch.where(fresh, pull / norms, self.balance))
        self.first_loss = torch.where(fresh, losses, self.first_loss)

    def _move(self, losses: Tensor, active: Tensor, norms: Tensor) -> None:
        """Update v of the tasks that have a label in the batch."""
        if int(active.sum()) < 2:
            return
        pull = self.balance * norms  # [T]
        behind = losses / self.first_loss.clamp(min=1e-12)
        target = pull[active].mean() * (behind / behind[active].mean()) ** self.alpha
        slope = torch.sign(pull - target) * pull / pull[active].mean()
        self._set(self.balance * torch.exp(-self.rate * torch.where(active, slope, 0.0)))

    def _set(self, balance: Tensor) -> None:
        self.balance = balance * len(balance) / balance.sum()

    def log_values(self) -> list[float]:
        """Return w_t · v_t."""
        return (self.weights * self.balance).tolist()

    def state(self) -> dict[str, Tensor]:
        """Return v and the first losses."""
        return {"balance": self.balance, "first_loss": self.first_loss}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore v and the first losses."""
        self.balance, self.first_loss = state["balance"], state["first_loss"]
