"""Impressions of the rentals and restaurants worlds: user, item, place and propensity.

A request is a page of `PAGE` places. The logging policy draws them without replacement from a
pool of `POOL` items, one place after the other, with probability proportional to popularity among
those of the pool still left (Plackett-Luce). `propensity` is the probability of that draw, given
the pool and what stands above. A place at position k is looked at with probability 1/√k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import RecipeError
from crosstower.values.arrays import Floats

PAGE, POOL = 10, 30
_BLOCK = 20_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Impressions:
    """Rows `[rows]`, request by request: the last request may be cut."""

    request: Ints
    user: Ints
    item: Ints
    position: Ints
    propensity: Floats

    @property
    def examined(self) -> Floats:
        """Probability that the place is looked at."""
        return 1.0 / np.sqrt(self.position)


def show(rows: int, random: np.random.Generator, *, users: int, popularity: Floats) -> Impressions:
    """Return `rows` impressions of items with the given popularity `[items]`, all positive."""
    requests = -(-rows // PAGE)
    user = random.integers(0, users, requests)
    pages = [
        _pages(min(_BLOCK, requests - start), random, popularity)
        for start in range(0, requests, _BLOCK)
    ]
    item = np.concatenate([items for items, _ in pages]).reshape(-1)[:rows]
    propensity = np.concatenate([chances for _, chances in pages]).reshape(-1)[:rows]
    request = np.arange(rows) // PAGE
    return Impressions(request, user[request], item, np.arange(rows) % PAGE + 1, propensity)


def _pages(requests: int, random: np.random.Generator, popularity: Floats) -> tuple[Ints, Floats]:
    """Return items and propensities `[requests, PAGE]`."""
    # Evenly spaced places from a random start, in a catalogue without order: distinct items.
    items = len(popularity)
    start = random.integers(0, items, (requests, 1))
    pool = (start + np.arange(POOL) * (items // POOL)) % items
    weight = popularity[pool]
    # Gumbel keys sort into a Plackett-Luce draw without replacement.
    keys = np.log(weight) + random.gumbel(size=weight.shape)
    order = np.argsort(-keys, axis=1)[:, :PAGE]
    chosen = np.take_along_axis(weight, order, axis=1)
    above = np.cumsum(chosen, axis=1) - chosen
    propensity = chosen / (weight.sum(axis=1, keepdims=True) - above)
    return np.take_along_axis(pool, order, axis=1), propensity


def generator(name: str, seed: Any) -> np.random.Generator:
    """Return a generator.

    Args:
        name: of the seeded world, for the message.
        seed: at least 0; a generator is returned as it is.

    Raises:
        RecipeError: the seed is not a whole number of at least 0.

    """
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise RecipeError(f"{name}: seed: expected a whole number of at least 0, got {seed!r}")
    return np.random.default_rng(int(seed))


def draw(random: np.random.Generator, probability: Floats) -> NDArray[np.int8]:
    """Return 0 or 1 a row."""
    return (random.random(len(probability)) < probability).astype(np.int8)


def pick(values: list[str], places: NDArray[Any]) -> list[str]:
    """Return the named values."""
    return np.asarray(values)[places].tolist()
