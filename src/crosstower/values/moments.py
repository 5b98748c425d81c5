"""Exact moments and uniform samples of numbers, independent of the order of addition."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crosstower.values.arrays import Floats
from crosstower.values.hashing import U64, mix

SAMPLE_SIZE = 200_000
_SEED = 0x5A3  # priorities are no other hashes of row numbers, such as those of a random split
_DIGITS = 1074  # every finite float64 is a whole number of 2^-1074
_SQUARED = 2.0**500  # squares of numbers of at most this size are exact in two floats
_SPLITTER = 2.0**27 + 1.0


def exact_sum(x: Floats) -> int:
    """Return the sum of finite numbers in units of 2^-1074, without rounding.

    The leading bits of all numbers are summed as integers below 2^53, then the bits that are left.

    >>> exact_sum(np.array([1e300, 1.0, -1e300])) / (1 << 1074)
    1.0
    """
    total, bits = 0, 52 - len(x).bit_length()
    while top := float(np.abs(x).max(initial=0.0)):
        shift = max(math.frexp(top)[1] - bits, -_DIGITS)
        step = math.ldexp(1.0, shift)
        whole = np.trunc(x / step)
        total += int(whole.sum()) << (shift + _DIGITS)
        x = x - whole * step
    return total


def _exact_squares(x: Floats) -> int:
    """Return the sum of squares in units of 2^-2148, without rounding.

    A square is the sum of two floats (Dekker 1971).
    """
    size = np.abs(x)
    far = (size > _SQUARED) | ((size < 1.0 / _SQUARED) & (size > 0.0))
    extreme = sum(_digits(value) ** 2 for value in x[far].tolist())
    x = np.where(far, 0.0, x) if far.any() else x
    square, spread = x * x, _SPLITTER * x
    high = spread - (spread - x)
    low = x - high
    rest = ((high * high - square) + 2.0 * high * low) + low * low
    return extreme + ((exact_sum(square) + exact_sum(rest)) << _DIGITS)


def _digits(value: float) -> int:
    """Return a float in units of 2^-1074."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << _DIGITS) // denominator


def _ratio(numerator: int, denominator: int) -> float:
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


@dataclass
class Moments:
    """Count, mean and squared deviations of numbers, rounded once at the end.

    The sums are exact, so the result depends neither on the order of the numbers nor on the parts
    in which they were added or merged.

    Args:
        count: of the numbers.
        total: their sum in units of 2^-1074.
        total_of_squares: of the numbers, in units of 2^-2148.

    """

    count: int = 0
    total: int = 0
    total_of_squares: int = 0

    @staticmethod
    def of(count: int, mean: float, squares: float) -> Moments:
        """Return the moments of numbers with a mean and squared deviations from it."""
        one = _digits(float(mean))
        squared = (_digits(min(float(squares), sys.float_info.max)) << _DIGITS) + one * one * count
        return Moments(count, one * count, squared)

    def add(self, x: Floats) -> None:
        """Add finite values."""
        if len(x):
            self.count += len(x)
            self.total += exact_sum(x)
            self.total_of_squares += _exact_squares(x)

    def merge(self, other: Moments) -> None:
        """Add the numbers of other moments."""
        self.count += other.count
        self.total += other.total
        self.total_of_squares += other.total_of_squares

    @property
    def mean(self) -> float:
        """Mean; 0 without numbers."""
        return _ratio(self.total, self.count << _DIGITS) if self.count else 0.0

    @property
    def squares(self) -> float:
        """Sum of squared deviations from the mean."""
        if not self.count:
            return 0.0
        deviations = self.total_of_squares * self.count - self.total * self.total
        return _ratio(deviations, self.count << (2 * _DIGITS))

    @property
    def sd(self) -> float:
        """Population standard deviation; 1 for a constant, which then scales to 0."""
        return spread(self.count, self.mean, self.squares)

    def plain(self) -> dict[str, float]:
        """Return the arguments of `of`, as plain data."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}


def spread(count: int, mean: float, squares: float) -> float:
    """Return the population standard deviation; 1 for a constant, which then scales to 0.

    Args:
        count: of the numbers.
        mean: of the numbers.
        squares: sum of squared deviations from the mean.

    """
    deviation = (squares / count) ** 0.5 if count else 0.0
    return deviation if deviation > 1e-12 * abs(mean) else 1.0


@dataclass
class NumberSummary:
    """Count, mean, minimum and maximum of numbers; the sum is exact, as in `Moments`.

    >>> summary = NumberSummary()
    >>> summary.add(np.array([1.0, 4.0]))
    >>> summary.count, summary.mean, summary.low, summary.high
    (2, 2.5, 1.0, 4.0)

    Args:
        count: of the numbers.
        total: their sum in units of 2^-1074.
        low: minimum; infinite without numbers.
        high: maximum; minus infinity without numbers.

    """

    count: int = 0
    total: int = 0
    low: float = math.inf
    high: float = -math.inf

    def add(self, x: Floats) -> None:
        """Add finite values."""
        if len(x):
            self.count += len(x)
            self.total += exact_sum(x)
            self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    def merge(self, other: NumberSummary) -> None:
        """Add the numbers of another summary."""
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    @property
    def mean(self) -> float:
        """Mean; 0 without numbers."""
        return _ratio(self.total, self.count << _DIGITS) if self.count else 0.0


@dataclass
class UniformSample:
    """A uniform sample of at most `size` numbers.

    Those whose rows have the smallest hashes stay, so the sample depends only on the rows, not on
    their order, nor on the parts in which they were added or merged.
    """

    size: int = SAMPLE_SIZE
    values: Floats = field(default_factory=lambda: np.empty(0))
    _priority: U64 = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def add(self, x: Floats, rows: NDArray[np.int64]) -> None:
        """Add numbers `[B]` with the numbers of their rows `[B]`."""
        self._keep(x, mix(rows, _SEED))

    def merge(self, other: UniformSample) -> None:
        """Add the sample of other rows."""
        self._keep(other.values, other._priority)

    def _keep(self, x: Floats, priority: U64) -> None:
        self.values = np.concatenate([self.values, x])
        self._priority = np.concatenate([self._priority, priority])
        if len(self.values) > self.size:
            kept = np.argpartition(self._priority, self.size)[: self.size]
            self.values, self._priority = self.values[kept], self._priority[kept]
