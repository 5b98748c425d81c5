"""Experts shared by tasks, and the gates that mix them.

Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts"; Tang et al. 2020, "Progressive Layered Extraction".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MakeExpert = Callable[[int], Any]
"""From an input width to a module that says its `output_width`."""


class Gate(nn.Module):
    """g(x) = softmax(W x); output = Σ_i g_i(x) · f_i (Ma et al. 2018, equations 6 and 7)."""

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, experts, bias=False)

    def forward(self, x: Tensor, experts: Tensor) -> Tensor:
        """Return `[B, H]` for the gate's input `[B, W]` and outputs of experts `[B, E, H]`."""
        weights = self.linear(x).softmax(dim=1)  # [B, E]
        return torch.einsum("be,beh->bh", weights, experts.to(weights.dtype))


class MultiGateMixture(nn.Module):
    """Experts that all tasks share, and one gate a task (MMoE)."""

    def __init__(self, width: int, make: MakeExpert, *, experts: int, tasks: int) -> None:
        super().__init__()
        made = [make(width) for _ in range(experts)]
        self.experts = nn.ModuleList(made)
        self.gates = nn.ModuleList([Gate(width, experts) for _ in range(tasks)])
        self.output_width: int = made[0].output_width

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return one `[B, H]` a task for x `[B, W]`."""
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)  # [B, E, H]
        return [gate(x, outputs) for gate in self.gates]


class ExtractionLayer(nn.Module):
    """Experts of each task beside shared ones (CGC, Tang et al. 2020, equations 1 to 3).

    A task's gate sees its own experts and the shared ones. Where another layer follows, a shared
    gate sees all experts and gives that layer's shared input.

    Args:
        width: W, of every input.
        make: makes an expert.
        tasks: T.
        specific: experts of each task.
        shared: experts that all tasks share.
        last: no layer follows, so that there is no shared gate.

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
        """Return one `[B, H]` a task and the shared one, for inputs `[B, W]` of the same kinds.

        After the last layer the shared one is its input.
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


class ProgressiveExtraction(nn.Module):
    """Extraction layers one upon the other (PLE, Tang et al. 2020, section 4.3)."""

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
        """Return one `[B, H]` a task for x `[B, W]`."""
        inputs, shared = [x] * self.tasks, x
        for layer in self.layers:
            inputs, shared = layer(inputs, shared)
        return inputs
