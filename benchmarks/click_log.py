"""A click log of Criteo's shape: 26 columns of ids, 13 numbers, the labels `click` and `like`.

Sizes of the columns stand to one another as those of Criteo; those below 20,000 stay as they are,
the others are scaled to the number of ids asked for. Ids are log-uniform, as clicks are: half of
the rows lie in the square root of the vocabulary. Labels are drawn from a second-order model,

    logit = Σ_f w_f(id) + ½ (|Σ_f v_f(id)|² - Σ_f |v_f(id)|²) + Σ_n a_n x_n + constant,

whose effects w and v are hashes of the ids, so that 100 M ids need no arrays.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crosstower.values.hashing import mix, uniform

CARDINALITIES = (
    *(1461, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194),
    *(27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572),
)
SMALL, NUMBERS, FACTORS = 20_000, 13, 4
LEAST_IDS = 100_000
LINEAR, LATENT, SLOPE, RARITY = 0.25, 0.2, 0.1, 1.2
_GOLDEN = 0.6180339887498949


def column_sizes(ids: int) -> NDArray[np.int64]:
    """Return the sizes of the 26 columns, `ids` in sum.

    Raises:
        ValueError: fewer than `LEAST_IDS`; the small columns alone have half as many.

    """
    if ids < LEAST_IDS:
        raise ValueError(f"ids: got {ids:,}; at least {LEAST_IDS:,}, for the small columns stay")
    sizes = np.array(CARDINALITIES)
    large = sizes >= SMALL
    share = (ids - sizes[~large].sum()) / sizes[large].sum()
    sizes[large] = np.maximum(sizes[large] * share, 1).astype(np.int64)
    sizes[sizes.argmax()] += ids - sizes.sum()
    return sizes


def write_click_log(path: Path, *, rows: int, ids: int, seed: int = 0) -> None:
    """Write arrays to an .npz: codes int32 `[rows, 26]`, numbers `[rows, 13]`, labels, sizes.

    Codes count from 0. Numbers are log(1 + x) of log-normal x; labels are 0 or 1, float32
    `[rows, 2]`. The last tenth of the rows is for testing.
    """
    random, sizes = np.random.default_rng(seed), column_sizes(ids)
    codes = np.stack([codes_of(random, rows, int(size)) for size in sizes], axis=1)
    raw = random.lognormal(0.0, 1.2, (rows, NUMBERS))
    numbers = np.log1p(raw).astype(np.float32)
    click = logits_of(codes, numbers, seed=seed) - RARITY
    like = 0.7 * click + 0.5 * logits_of(codes, numbers, seed=seed + 1) - RARITY
    chance = 1.0 / (1.0 + np.exp(-np.stack([click, like], axis=1)))
    labels = (random.random((rows, 2)) < chance).astype(np.float32)
    np.savez(path, codes=codes, numbers=numbers, labels=labels, sizes=sizes)


def codes_of(random: np.random.Generator, rows: int, size: int) -> NDArray[np.int32]:
    ranks = ((size + 1) ** random.random(rows) - 1).astype(np.int64)
    # A multiplication coprime to the size scatters frequent ids over the table, one to one.
    factor = max(int(size * _GOLDEN), 1)
    while np.gcd(factor, size) != 1:
        factor += 1
    return (np.minimum(ranks, size - 1) * factor % size).astype(np.int32)


def logits_of(codes: NDArray[np.int32], numbers: NDArray[np.float32], *, seed: int) -> NDArray:
    slopes = np.random.default_rng(seed).normal(0.0, SLOPE, NUMBERS)
    total = numbers @ slopes
    together, alone = np.zeros((len(codes), FACTORS)), np.zeros(len(codes))
    for field, column in enumerate(codes.T):
        total += _effects(column, LINEAR, seed, field, 0)
        vectors = [_effects(column, LATENT, seed, field, 1 + k) for k in range(FACTORS)]
        latent = np.stack(vectors, axis=1)
        together += latent
        alone += (latent**2).sum(axis=1)
    return total + 0.5 * ((together**2).sum(axis=1) - alone)


def _effects(codes: NDArray[np.int32], sd: float, *place: int) -> NDArray[np.float64]:
    """Return one effect a code, uniform with mean 0 and standard deviation `sd`."""
    seed = int(mix(np.array([sum(n * 1009**i for i, n in enumerate(place))]))[0] % 2**31)
    return (uniform(mix(codes, seed)) - 0.5) * (12**0.5 * sd)
