"""Gradients per task: inner products, norms, and projection of conflicts.

Embedding tables have sparse gradients. All tasks of a batch touch the same rows, so the values of
their gradients are aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class TaskGradients:
    """The gradient of every task with respect to every parameter.

    `values[t][p]` is dense, or the values of a sparse gradient with the rows `rows[p]`, the same
    for all tasks. It is None if the task does not depend on the parameter.

    >>> w = nn.Parameter(torch.zeros(2))
    >>> losses = [w @ torch.tensor([3.0, 4.0]), w @ torch.tensor([-1.0, 2.0])]
    >>> gradients = TaskGradients.of(losses, [w])
    >>> gradients.norm(0, [0]), gradients.dot(0, 1, [0])
    (5.0, 5.0)
    >>> gradients.write([1.0, 2.0])  # the sum with these weights
    >>> w.grad.tolist()
    [1.0, 8.0]
    """

    parameters: Sequence[nn.Parameter]
    values: list[list[Tensor | None]]
    rows: list[Tensor | None]

    @staticmethod
    def of(losses: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> TaskGradients:
        """Return the gradient of each loss with respect to all parameters."""
        found = [_gradients(loss, parameters) for loss in losses]
        by_parameter = [_aligned(list(grads)) for grads in zip(*found, strict=True)]
        values = [[values[t] for values, _ in by_parameter] for t in range(len(losses))]
        return TaskGradients(parameters, values, [rows for _, rows in by_parameter])

    def shared(self, one: int, other: int) -> list[int]:
        """Return the positions of the parameters that both tasks depend on.

        A tensor with separate rows or columns per task, such as a linear layer with one output per
        task, has no element with two nonzero gradients and is not shared.
        """
        pairs = zip(self.values[one], self.values[other], strict=True)
        return [p for p, (a, b) in enumerate(pairs) if _meet(a, b)]

    def dot(self, one: int, other: int, places: Sequence[int]) -> float:
        """Return the inner product of two tasks' gradients over some parameters.

        It is computed in float64: in float32 squares of small gradients underflow and those of
        large ones overflow.
        """
        return float(sum(self._product(one, other, p) for p in places))

    def norm(self, task: int, places: Sequence[int]) -> float:
        """Return the norm of a task's gradient over some parameters."""
        return self.dot(task, task, places) ** 0.5

    def write(self, weights: Sequence[float]) -> None:
        """Set each parameter's gradient to the weighted sum over tasks."""
        for p, parameter in enumerate(self.parameters):
            parts: list[Tensor] = []
            for weight, values in zip(weights, self.values, strict=True):
                value = values[p]
                if value is not None:
                    parts.append(weight * value)
            if parts:
                parameter.grad = _rebuilt(torch.stack(parts).sum(0), self.rows[p], parameter)

    def _product(self, one: int, other: int, place: int) -> float:
        a, b = self.values[one][place], self.values[other][place]
        if a is None or b is None:
            return 0.0
        return float(torch.dot(a.double().flatten(), b.double().flatten()))


def _meet(a: Tensor | None, b: Tensor | None) -> bool:
    return a is not None and b is not None and bool(((a != 0) & (b != 0)).any())


def _gradients(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Sequence[Tensor | None]:
    if not loss.requires_grad:  # no row of the batch has a label
        return [None] * len(parameters)
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)


def _aligned(grads: list[Tensor | None]) -> tuple[list[Tensor | None], Tensor | None]:
    """Return aligned values, and their rows if the gradients are sparse."""
    sparse = [g.coalesce() for g in grads if g is not None and g.is_sparse]
    if not sparse:
        return grads, None
    rows = sparse[0].indices()
    if any(not torch.equal(g.indices(), rows) for g in sparse):
        union = torch.stack([g * 0 for g in sparse]).sum(0).coalesce()
        rows = union.indices()
        grads = [None if g is None else (g + union).coalesce() for g in grads]
    return [None if g is None else g.coalesce().values() for g in grads], rows


def _rebuilt(values: Tensor, rows: Tensor | None, parameter: nn.Parameter) -> Tensor:
    if rows is None:
        return values
    return torch.sparse_coo_tensor(
        rows, values, parameter.shape, is_coalesced=True, check_invariants=False
    )


def project_conflicts(gradients: TaskGradients, order: Sequence[Sequence[int]]) -> None:
    """Project each task's gradient onto the normal plane of conflicting ones (PCGrad), in place.

    Yu et al. 2020, "Gradient Surgery for Multi-Task Learning", algorithm 1: for i and each j ≠ i in
    random order, if g_i · g_j < 0: g_i ← g_i - (g_i · g_j / ‖g_j‖²) g_j, with the original g_j.
    Only parameters that both tasks share are projected.

    >>> w = nn.Parameter(torch.zeros(2))
    >>> losses = [w @ torch.tensor([1.0, 0.0]), w @ torch.tensor([-1.0, 1.0])]
    >>> gradients = TaskGradients.of(losses, [w])
    >>> project_conflicts(gradients, order=[[1], [0]])
    >>> [values[0].tolist() for values in gradients.values]
    [[0.5, 0.5], [0.0, 1.0]]

    Args:
        gradients: changed in place.
        order: for each task, the other tasks in the order of the projections.

    """
    before = TaskGradients(
        gradients.parameters, [list(g) for g in gradients.values], gradients.rows
    )
    for task, others in enumerate(order):
        for other in others:
            places = before.shared(task, other)
            mixed = TaskGradients(
                gradients.parameters,
                [gradients.values[task], before.values[other]],
                gradients.rows,
            )
            against = mixed.dot(0, 1, places)
            if against < 0.0:
                share = against / mixed.dot(1, 1, places)
                for p in places:
                    own, theirs = gradients.values[task][p], before.values[other][p]
                    if own is not None and theirs is not None:
                        left = own.double() - share * theirs.double()
                        gradients.values[task][p] = left.to(own.dtype)
