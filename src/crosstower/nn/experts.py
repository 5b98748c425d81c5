"""Experts shared by tasks, and gates that mix them.

Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts"; Tang et al. 2020, "Progressive Layered Extraction".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MakeExpert = Callable[[int], Any]
"""Builds an expert for an input width; the module must have an `output_width`."""


class Gate(nn.Module):
    """Gate over experts: g(x) = softmax(W x), output Σ_i g_i(x) · f_i(x) (Ma et al., eqs. 6, 7).

    >>> import torch
    >>> gate = Gate(8, experts=3)
    >>> gate(torch.ones(2, 8), torch.ones(2, 3, 4)).shape
    torch.Size([2, 4])

    Args:
        width: W of the gate's input.
        experts: E.

    """

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, experts, bias=False)

    def forward(self, x: Tensor, experts: Tensor) -> Tensor:
        """Return `[B, H]` for the gate's input `[B, W]` and the experts' outputs `[B, E, H]`."""
        weights = self.weights(x)
        return torch.einsum("be,beh->bh", weights, experts.to(weights.dtype))

    def weights(self, x: Tensor) -> Tensor:
        """Return the weights `[B, E]` of the experts, which sum to 1, for the input `[B, W]`."""
        return self.linear(x).softmax(dim=1)


class MultiGateMixture(nn.Module):
    """Experts shared by all tasks, with one gate per task (MMoE, Ma et al. 2018).

    >>> import torch
    >>> from crosstower.nn import MLP
    >>> mixture = MultiGateMixture(8, lambda width: MLP(width, (4,)), experts=3, tasks=2)
    >>> [mixed.shape for mixed in mixture(torch.ones(5, 8))]
    [torch.Size([5, 4]), torch.Size([5, 4])]

    Args:
        width: W.
        make: builds an expert for an input width.
        experts: E.
        tasks: T.

    """

    def __init__(self, width: int, make: MakeExpert, *, experts: int, tasks: int) -> None:
        super().__init__()
        made = [make(width) for _ in range(experts)]
        self.experts = nn.ModuleList(made)
        self.gates = nn.ModuleList([Gate(width, experts) for _ in range(tasks)])
        self.output_width: int = made[0].output_width

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return T tensors `[B, H]`, one per task, for x `[B, W]`."""
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)  # [B, E, H]
        return [gate(x, outputs) for gate in self.gates]

    def weights(self, x: Tensor) -> list[Tensor]:
        """Return T tensors `[B, E]`, the weights of the experts per task, for x `[B, W]`."""
        return [gate.weights(x) for gate in self.gates]  # pyright: ignore[reportCallIssue]


class ExtractionLayer(nn.Module):
    """Task-specific and shared experts (CGC, Tang et al. 2020, equations 1 to 3).

    The gate of a task mixes its own experts and the shared ones. If another layer follows, a
    shared gate mixes all experts into that layer's shared input.

    >>> import torch
    >>> from crosstower.nn import MLP
    >>> layer = ExtractionLayer(
    ...     8, lambda width: MLP(width, (4,)), tasks=2, specific=1, shared=1, last=False
    ... )
    >>> tasks, shared = layer([torch.ones(5, 8)] * 2, torch.ones(5, 8))
    >>> len(tasks), shared.shape
    (2, torch.Size([5, 4]))

    Args:
        width: W of every input.
        make: builds an expert for an input width.
        tasks: T.
        specific: number of experts per task.
        shared: number of experts that all tasks share.
        last: whether this is the last layer, which has no shared gate.

    """

    def __init__(
        self, width: int, make: MakeExpert, *, tasks: int, specific: int, shared: int, last: bool
    ) -> None:
        super().__init__()
        own = [[make(width) for _ in range(specific)] for _ in range(tasks)]
        common = [make(width) for _ in range(shared)]
        self.specific = nn.ModuleList([nn.ModuleList(experts) for experts in own])
        self.shared = nn.ModuleList(common)
        self.gates = nn.ModuleList([Gate(width, specific + shared) for _ in range(tasks)])
        self.shared_gate = None if last else Gate(width, tasks * specific + shared)
        self.output_width: int = common[0].output_width

    def forward(
        self, inputs: Sequence[Tensor], shared_input: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Return T task outputs and the shared output, each `[B, H]`.

        Args:
            inputs: T tensors `[B, W]`, one per task.
            shared_input: `[B, W]`; the last layer returns it unchanged.

        """
        common = [expert(shared_input) for expert in self.shared]
        own = [
            [expert(x) for expert in experts]  # pyright: ignore[reportGeneralTypeIssues]
            for x, experts in zip(inputs, self.specific, strict=True)
        ]
        tasks = [
            gate(x, torch.stack([*experts, *common], dim=1))
            for x, experts, gate in zip(inputs, own, self.gates, strict=True)
        ]
        if self.shared_gate is None:
            return tasks, shared_input
        everything = [output for experts in own for output in experts] + common
        return tasks, self.shared_gate(shared_input, torch.stack(everything, dim=1))

    def weights(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return T tensors `[B, E]`, the weights of each task's own experts, then the shared ones.

        Args:
            inputs: T tensors `[B, W]`, one per task.

        """
        return [
            gate.weights(x)  # pyright: ignore[reportCallIssue]
            for x, gate in zip(inputs, self.gates, strict=True)
        ]


class ProgressiveExtraction(nn.Module):
    """A stack of extraction layers (PLE, Tang et al. 2020, section 4.3).

    >>> import torch
    >>> from crosstower.nn import MLP
    >>> extraction = ProgressiveExtraction(
    ...     8, lambda width: MLP(width, (4,)), tasks=2, specific=1, shared=1, levels=2
    ... )
    >>> [task.shape for task in extraction(torch.ones(5, 8))]
    [torch.Size([5, 4]), torch.Size([5, 4])]

    Args:
        width: W of the input.
        make: builds an expert for an input width.
        tasks: T.
        specific: number of experts per task and level.
        shared: number of experts per level that all tasks share.
        levels: number of extraction layers; 1 is CGC.

    """

    def __init__(
        self,
        width: int,
        make: MakeExpert,
        *,
        tasks: int,
        specific: int,
        shared: int,
        levels: int,
    ) -> None:
        super().__init__()
        self.tasks = tasks
        layers: list[ExtractionLayer] = []
        for level in range(levels):
            last = level == levels - 1
            layer = ExtractionLayer(
                width, make, tasks=tasks, specific=specific, shared=shared, last=last
            )
            layers.append(layer)
            width = layer.output_width
        self.layers = nn.ModuleList(layers)
        self.output_width = width

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return T tensors `[B, H]`, one per task, for x `[B, W]`."""
        return self._through(self.layers, x)

    def weights(self, x: Tensor) -> list[Tensor]:
        """Return T tensors `[B, E]`, the weights of the experts of the last layer per task.

        The experts of a task come first, then the shared ones.

        Args:
            x: input `[B, W]`.

        """
        inputs = self._through(self.layers[:-1], x)
        return self.layers[-1].weights(inputs)  # pyright: ignore[reportCallIssue]

    def _through(self, layers: nn.ModuleList, x: Tensor) -> list[Tensor]:
        inputs, shared = [x] * self.tasks, x
        for layer in layers:
            inputs, shared = layer(inputs, shared)
        return inputs
