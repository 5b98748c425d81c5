"""Two complete funnels on synthetic datasets, evaluated stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.datasets.worlds.feed_engagement import engagement_probabilities
from crosstower.data.datasets.worlds.rentals import listings, rental_relevance
from crosstower.fitting.fit import fit
from crosstower.funnel.evaluation import evaluate_funnel, write_funnel
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.report import FunnelReport
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.storage.files import free_folder, write_parquet
from crosstower.training.run import Run

_ROWS = 200_000
_BUCKETS = {"kind": "numeric", "transform": "bucketise"}
Truth = Callable[[pl.DataFrame], NDArray[np.float64]]


@dataclass(frozen=True)
class DemoFunnel:
    """A finished funnel of the demo: its runs, its evaluation and its bundle."""

    words: str
    retrieval: Run
    ranking: Run
    report: FunnelReport
    bundle: Bundle


@dataclass(frozen=True)
class _Plan:
    words: str
    retrieval: Recipe
    ranking: Recipe
    candidates: int
    truth: Truth


def demo_funnels(out: Path, *, rows: int) -> Iterator[DemoFunnel]:
    """Yield the funnels of the demo, in new folders of `out`, with the true value of each list."""
    out.mkdir(parents=True, exist_ok=True)
    items = out / "demo-rentals-listings.parquet"  # few rows do not contain every listing
    write_parquet(listings(), items)
    for plan in (_rentals(min(rows, _ROWS), items), _feed(min(rows, _ROWS))):
        folders = [free_folder(out / r.name) for r in (plan.retrieval, plan.ranking)]
        retrieval = fit(plan.retrieval, out=folders[0])
        ranking = fit(plan.ranking, out=folders[1])
        funnel = Funnel.open(retrieval, ranking, candidates=plan.candidates)
        report = evaluate_funnel(funnel, truth=plan.truth)
        write_funnel(funnel, report)
        place = free_folder(out / plan.ranking.name.replace("ranking", "bundle"))
        bundle = make_bundle([retrieval, ranking], place, candidates=plan.candidates)
        yield DemoFunnel(plan.words, retrieval, ranking, report, bundle)


def _rentals(rows: int, items: Path) -> _Plan:
    """Return the funnel of clicks, bookings and revenue (booking probability × price)."""
    data = {
        "path": "world:rentals",
        "rows": rows,
        "split": {"kind": "group", "column": "request_id"},
    }
    listing = {"city": "categorical", "price": _BUCKETS, "amenities": "bag"}
    search = {"home_city": "categorical", "budget": _BUCKETS, "wanted": "categorical"}
    retrieval: dict[str, Any] = {
        "name": "demo-rentals-retrieval",
        "data": data,
        "schema": {"columns": {**search, **listing, "listing_id": "categorical"}},
        "model": {
            "name": "two_tower",
            "item": ["listing_id", *listing],
            "query_hidden": [64],
            "item_hidden": [64],
        },
        "retrieval": {
            "user": "user_id",
            "item": "listing_id",
            "items": str(items),
            "time": "timestamp",
            "where": "click == 1",
        },
        "training": {"embedding_learning_rate": 0.003},
    }
    ranking: dict[str, Any] = {
        "name": "demo-rentals-ranking",
        "data": data,
        "schema": {
            "columns": {**search, **listing},
            "tasks": {
                "click": {"kind": "binary", "true_probability": "click_probability"},
                "booking": {"kind": "binary", "true_probability": "booking_probability"},
            },
        },
        "model": {
            "name": "esmm",
            "trunk": {"name": "dcn_v2", "structure": "stacked", "hidden": [64, 32]},
        },
        "calibration": {"method": "platt"},
        "blend": {"mode": "product", "weights": {"booking": 1}, "amount": "price"},
        "training": {"epochs": 10},
        "evaluation": {"group": "request_id", "baselines": ["logistic_regression"]},
    }
    return _Plan(
        "Rentals: retrieve 200 of 1,500 listings, rank by click, blend by expected revenue",
        Recipe.model_validate(retrieval),
        Recipe.model_validate(ranking),
        200,
        lambda rows: 0.3 * rental_relevance(rows) ** 2 * rows["price"].to_numpy(),
    )


def _feed(rows: int) -> _Plan:
    """Return the funnel of likes and comments; a comment is worth two likes."""
    data = {
        "path": "world:feed_engagement",
        "rows": rows,
        "split": {"kind": "group", "column": "session_id"},
    }
    columns = dict.fromkeys(("user_id", "context", "item_id", "content_type"), "categorical")
    retrieval: dict[str, Any] = {
        "name": "demo-feed-retrieval",
        "data": data,
        "schema": {"columns": columns},
        "model": {"name": "two_tower", "item": ["item_id", "content_type"]},
        "retrieval": {
            "user": "user_id",
            "item": "item_id",
            "where": "like == 1 or comment == 1",
            "exclude_seen": False,
            "baselines": ["popularity"],
        },
        "training": {"epochs": 10},
    }
    ranking: dict[str, Any] = {
        "name": "demo-feed-ranking",
        "data": data,
        "schema": {
            "columns": columns,
            "tasks": {
                "like": {"kind": "binary", "true_probability": "like_probability"},
                "comment": {"kind": "binary", "true_probability": "comment_probability"},
            },
        },
        "model": {"name": "mmoe", "experts": 2, "trunk": {"name": "mlp", "hidden": [32]}},
        "calibration": {"method": "platt", "by": "content_type"},
        "blend": {"weights": {"like": 1, "comment": 2}},
        "training": {"epochs": 10},
        "evaluation": {
            "group": "session_id",
            "slices": ["content_type"],
            "baselines": ["logistic_regression"],
        },
    }

    def worth(rows: pl.DataFrame) -> NDArray[np.float64]:
        like, comment = engagement_probabilities(
            rows["user_id"].to_numpy(), rows["content_type"] == "photo", rows["context"].to_numpy()
        )
        return like + 2 * comment

    return _Plan(
        "Feed: retrieve 100 of 200 posts, rank by like, blend by likes + 2 comments",
        Recipe.model_validate(retrieval),
        Recipe.model_validate(ranking),
        100,
        worth,
    )
