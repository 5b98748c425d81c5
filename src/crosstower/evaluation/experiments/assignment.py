"""Assignment of users to arms: sticky, salted, and stable when shares change. No torch.

Each arm has an exponential clock per user, with a rate equal to its share; the arm whose clock
rings first gets the user. The clocks come from a hash of salt, arm and user, so that the same user
is always in the same arm, on every machine. An arm gets a user with probability share / total.

If shares change from p to q, at least the share δ = Σ max(0, q - p) of all users must move. Here at
most 2 δ / (1 + δ) move, the least that any method without a memory can promise (Bavarian et al.
2020). Exactly δ move if one arm grows or shrinks at the cost of all others in proportion, as when
an experiment is ramped up, or if two arms share all users. No user moves between two arms whose
ratio of shares stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from crosstower.values.hashing import hash_id, mix, uniform
from crosstower.values.ids import Id

OUTSIDE = ""
"""The arm of users that are not part of the experiment; it is never named."""


class Assignment:
    """Arms and the hashes that assign users to them.

    >>> arms = Assignment({"control": 0.5, "treatment": 0.5}, salt="more_likes")
    >>> [arms.of(user) for user in (1, 2, "ann")]
    ['treatment', 'treatment', 'control']

    Args:
        shares: share by arm; the rest up to 1 is outside the experiment.
        salt: text that the users are hashed with; another salt assigns them independently.

    """

    def __init__(self, shares: Mapping[str, float], salt: str) -> None:
        rest = 1.0 - sum(shares.values())
        rates = {name: share for name, share in shares.items() if share > 0.0}
        if rest > 1e-9:
            rates[OUTSIDE] = rest
        self._names = list(rates)
        self._rates = np.array(list(rates.values()))  # [A]
        seeds = [hash_id(f"{salt}\n{name}") for name in self._names]
        self._seeds = np.array(seeds, dtype=np.uint64)  # [A]

    def of(self, unit: Id) -> str | None:
        """Return the arm of a user by the canonical id; None outside the experiment."""
        # 1 - u is above 0, so that its logarithm is finite.
        uniforms = 1.0 - uniform(mix(self._seeds ^ np.uint64(hash_id(unit))))  # [A]
        first = (-np.log(uniforms) / self._rates).argmin()
        return self._names[int(first)] or None
