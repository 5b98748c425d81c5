"""Sample ratio mismatch: test whether arm sizes match their shares. No torch.

A mismatch means that the arms lost or counted users differently, so that they are not
comparable (Fabijan et al. 2019). The chi-square test is valid at a single look. The sequential
test is valid at every look: a mixture of Dirichlet-multinomial likelihoods over the likelihood of
the declared shares is an e-value, whose inverse is an always-valid p-value (Lindon & Malek 2022).
The mixture spreads over several concentrations, to detect large mismatches of a few users and
small mismatches of many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from crosstower.errors import DataError

ALARM = 0.01
"""Sequential p-value below which a mismatch is reported: the probability of a false alarm."""

_CONCENTRATIONS = (10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)


@dataclass(frozen=True)
class SampleRatio:
    """Numbers of users per arm compared with the declared shares.

    `p_value` is that of the chi-square test, valid at one look; `sequential_p` is valid at all.
    """

    counts: tuple[int, ...]
    shares: tuple[float, ...]
    p_value: float
    sequential_p: float

    @property
    def mismatch(self) -> bool:
        """Whether the arms' sizes contradict their shares."""
        return self.sequential_p < ALARM


def sample_ratio(counts: Sequence[int], shares: Sequence[float]) -> SampleRatio:
    """Test whether users are distributed over arms as declared.

    >>> sample_ratio([5_000, 5_400], [0.5, 0.5]).mismatch
    True
    >>> sample_ratio([5_000, 5_100], [0.5, 0.5]).mismatch
    False

    Args:
        counts: users per arm.
        shares: declared share per arm, above 0; they are divided by their sum.

    Raises:
        DataError: lengths differ, there are fewer than two arms, or a share is not above 0.

    """
    if len(counts) != len(shares) or len(counts) < 2 or min(shares) <= 0.0:
        raise DataError(
            "sample ratio: expected a count and a share above 0 for each of two or more arms, got"
            f" counts {list(counts)} and shares {list(shares)}"
        )
    seen, expected = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    expected = expected / expected.sum()
    if not seen.any():
        return SampleRatio(tuple(counts), tuple(map(float, expected)), 1.0, 1.0)
    users = expected * seen.sum()
    statistic = float(((seen - users) ** 2 / users).sum())
    p_value = float(special.chdtrc(len(counts) - 1, statistic))
    evidence = [log_e_value(counts, expected.tolist(), c) for c in _CONCENTRATIONS]
    log_e = float(np.logaddexp.reduce(evidence)) - math.log(len(evidence))
    return SampleRatio(
        tuple(counts), tuple(map(float, expected)), p_value, math.exp(-max(log_e, 0.0))
    )


def log_e_value(counts: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    """Return the log e-value against the shares, for one concentration.

    It is log(B(c p + n) / B(c p)) - Σ n log p, where B is the multivariate beta function, n the
    counts, p the shares and c the concentration (Lindon & Malek 2022, equation 8).

    Args:
        counts: users per arm.
        shares: they sum to 1.
        concentration: of the Dirichlet distribution around the shares, above 0.

    """
    seen, expected = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    prior = concentration * expected
    likelihood = special.gammaln(prior + seen) - special.gammaln(prior)
    norm = special.gammaln(concentration + seen.sum()) - special.gammaln(concentration)
    return float(likelihood.sum() - norm - (seen * np.log(expected)).sum())
