"""Moments and uniform samples of streams of numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SAMPLE_SIZE = 200_000


@dataclass
class Moments:
    """Count, mean and squared deviations of a stream (Chan et al. 1979), in float64."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, x: Floats) -> None:
        """Take in finite values."""
        if len(x) == 0:
            return
        total, gap = self.count + len(x), float(x.mean()) - self.mean
        self.squares += float(((x - x.mean()) ** 2).sum())
        self.squares += gap * gap * self.count * len(x) / total
        self.mean += gap * len(x) / total
        self.count = total

    @property
    def sd(self) -> float:
        """Population standard deviation; 1 for a constant, which then scales to 0."""
        deviation = (self.squares / self.count) ** 0.5 if self.count else 0.0
        return deviation if deviation > 1e-12 * abs(self.mean) else 1.0


@dataclass
class UniformSample:
    """A uniform sample of a stream, at most `size` values, the same for the same stream."""

    size: int = SAMPLE_SIZE
    values: Floats = field(default_factory=lambda: np.empty(0))
    _priority: Floats = field(default_factory=lambda: np.empty(0))
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, x: Floats) -> None:
        """Take in values; the ones with the smallest random priorities stay."""
        self.values = np.concatenate([self.values, x])
        self._priority = np.concatenate([self._priority, self._random.random(len(x))])
        if len(self.values) > self.size:
            kept = np.argpartition(self._priority, self.size)[: self.size]
            self.values, self._priority = self.values[kept], self._priority[kept]
