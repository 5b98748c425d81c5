"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from crosstower.training.optimizers.coalesce import coalesce

STEPS = "average.steps"
_CHUNK = 65_536  # rows whose average and weights change places at once


class WeightAverage:
    """The exponential moving average of the weights after each step, corrected for its start.

    avg_t = (1 - d)·Σ_s d^(t - s)·w_s / (1 - d^t), with the weights w_1 to w_t after each step, as
    the moments of Adam are corrected (Kingma & Ba 2015, section 3). Rows of a table that have no
    gradient do not change, so their average is made up for when they have one: a step costs what
    its touched rows cost.

    >>> import torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(model, 0.5)
    >>> for value in (3.0, 6.0):
    ...     model.weight.grad = torch.ones(1, 1)
    ...     average.follow()
    ...     _ = torch.nn.init.constant_(model.weight, value)
    >>> with average.in_place():  # (0.25·3 + 0.5·6) / 0.75
    ...     model.weight.item()
    5.0
    >>> model.weight.item()
    6.0

    Args:
        model: to train; of several processes, with the rows of this one.
        decay: d, above 0 and below 1; about 1 / (1 - d) steps are averaged.

    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.values = {name: w.detach().clone() for name, w in self._weights.items()}
        # Up to which step each row's average is.
        self._reached = {
            name: torch.zeros(len(_rows(value)), dtype=torch.int32, device=value.device)
            for name, value in self.values.items()
        }

    @torch.no_grad()
    def follow(self) -> None:
        """Update the averages of the rows that the next step changes; call it before the step."""
        for name, weights in self._weights.items():
            if weights.grad is not None:
                rows = coalesce(weights.grad)[0] if weights.grad.is_sparse else slice(None)
                self._reach(name, rows)
        self.steps += 1

    @contextmanager
    def in_place(self) -> Generator[None]:
        """Return a context in which the model has the averages instead of its weights."""
        self._reach_all()
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def of(self, name: str) -> dict[str, Tensor]:
        """Return the averages of a parameter's rows and the steps up to which they are, by name.

        They are not brought up to date: that would round them once more than in training without a
        checkpoint here.
        """
        if name not in self.values:
            return {}
        return {f"average.{name}": self.values[name], f"reached.{name}": self._reached[name]}

    def state(self) -> dict[str, Tensor]:
        """Return `of` each parameter, and the number of steps."""
        named = {key: value for name in self.values for key, value in self.of(name).items()}
        return named | {STEPS: torch.tensor(self.steps)}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the result of `state`; averages that are not in it were filled in place.

        Without a number of steps, as after a warm start, the average begins with the weights.
        """
        if STEPS not in state:
            return
        self.steps = int(state[STEPS])
        for key, value in self.state().items():
            if key in state and key != STEPS:
                value.copy_(state[key])

    @torch.no_grad()
    def _reach_all(self) -> None:
        for name, value in self.values.items():
            for start in range(0, len(_rows(value)), _CHUNK):
                self._reach(name, slice(start, start + _CHUNK))

    def _reach(self, name: str, rows: Tensor | slice) -> None:
        """Bring rows up to the present step, since whose last one their weights were the same."""
        weights, values, reached = self._weights[name], self.values[name], self._reached[name]
        of_rows, weights = _rows(values), _rows(weights.detach())[rows]
        kept = self._kept(reached[rows].double()).to(weights.dtype).view(-1, *_ones(weights))
        of_rows[rows] = torch.lerp(weights, of_rows[rows], kept)
        reached[rows] = self.steps

    def _kept(self, since: Tensor) -> Tensor:
        """Return the weight that averages up to the steps `since` have in those of now."""
        d, now = self.decay, max(self.steps, 1)
        return d ** (now - since) * (1 - d**since) / (1 - d**now)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self.values.items():
            weights, values = _rows(self._weights[name]), _rows(value)
            for start in range(0, len(values), _CHUNK):
                part = slice(start, start + _CHUNK)
                aside = weights[part].clone()
                weights[part] = values[part]
                values[part] = aside


def _rows(tensor: Tensor) -> Tensor:
    return tensor if tensor.dim() else tensor.view(1)


def _ones(tensor: Tensor) -> tuple[int, ...]:
    return (1,) * (tensor.dim() - 1)
