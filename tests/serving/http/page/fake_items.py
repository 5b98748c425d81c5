"""Made-up items of a fake server, and transforms of its blends."""

import numpy as np
import polars as pl
from scipy.special import logit, ndtri
from scipy.stats import rankdata

CRUEL_NAME = "<script>window.broken = true</script><img src=x onerror='window.broken = true'>"
LARGE_ID = 9_007_199_254_740_993  # 2^53 + 1: a float would make it another item
PLACES = ["harbour", "old town", "market", "river", "north gate", "station"]
SUBJECTS = ["Sunrise over the", "A slow day in the", "Ten cafés near the", "Night walk to the"]
TRANSFORMS = {
    "identity": lambda p: p,
    "logit": logit,
    "probit": ndtri,
    "percentile": lambda p: (rankdata(p) - 0.5) / len(p),
    "standardise": lambda p: (p - p.mean()) / p.std(),
}


def made_up_sources(rank: int, score: float) -> dict[str, dict[str, float]]:
    """Return the sources that found a candidate: two, one, or none, by its rank in retrieval."""
    found = {"two_tower": {"rank": rank, "score": score}, "popular": {"rank": 2, "score": 1_234.0}}
    return {name: found[name] for name in list(found)[: (rank + 1) % 3]}


def made_up_items(count: int = 1500) -> pl.DataFrame:
    """Return items of three types; the first one's title is an attack."""
    random = np.random.default_rng(7)
    titles = [
        f"{SUBJECTS[a]} {PLACES[b]}"
        for a, b in zip(random.integers(0, 4, count), random.integers(0, 6, count), strict=True)
    ]
    kinds = random.choice(["photo", "video", "article"], count, p=[0.5, 0.3, 0.2])
    return pl.DataFrame(
        {
            "item_id": [LARGE_ID, *range(1, count)],
            "title": [CRUEL_NAME, *titles[1:]],
            "content_type": kinds,
            "city": random.choice(["Paris", "Rome", "Oslo", "Lisbon"], count),
            "price": random.gamma(3, 30, count).round(0),
            "on_foot": np.arange(count) // 7 % 2,
            "tags": [["sea", "food", "art"][: n + 1] for n in random.integers(0, 3, count)],
        }
    )
