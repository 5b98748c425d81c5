"""A fake server with a shop page: items on a map, a search in words, events that are taken in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from crosstower.serving.http.schemas import RecommendRequest

from .fake_items import made_up_items
from .fake_server import FakeBundle, ProblemError

SEARCHES = ["a slow day in the market at 9 pm", "sunrise over the river"]


def items_on_a_map() -> pl.DataFrame:
    """Return the made-up items within some 20 km of a point, with opening hours."""
    items = made_up_items(300)
    random = np.random.default_rng(3)
    north, east = random.normal(0.0, 0.05, (2, items.height))
    return items.with_columns(
        latitude=48.86 + north,
        longitude=2.35 + east,
        opens=pl.Series(random.choice([8, 11, 17], items.height)),
        closes=pl.Series(random.choice([20, 23, 26], items.height)),
        picture=pl.lit("lake cabin evening"),
    )


@dataclass
class ShopBundle(FakeBundle):
    """A bundle whose schema allows every panel; `asked` are the requests for lists so far,
    `explained` those that ask why as well, and `told` the events.
    """

    items: pl.DataFrame = field(default_factory=items_on_a_map)
    live_events: list[str] = field(default_factory=lambda: ["click", "booking"])
    user_column: str | None = "user_id"
    shop: dict[str, Any] | None = field(default_factory=lambda: {"searches": SEARCHES})
    writer: str | None = None  # a token that may send events
    asked: list[dict[str, Any]] = field(default_factory=list)
    explained: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def admit(self, authorization: str | None, path: str) -> None:
        """Refuse events without the token for them, where there is one."""
        if path == "/v1/events" and self.writer not in (None, (authorization or "")[7:]):
            raise ProblemError(403, "Forbidden", "use a token for write")

    def model(self) -> dict[str, Any]:
        """Return the response of GET /v1/model."""
        model = super().model()
        wish = {"name": "wish", "kind": "text", "examples": []}
        budget = {"name": "budget", "kind": "numeric", "examples": []}
        columns = [*model["query_columns"], wish, budget]
        more = {"query_columns": columns, "user_column": self.user_column, "shop": self.shop}
        return model | more | {"live_events": self.live_events}

    def recommend(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v1/recommend; a wish finds items with one of its words in their title."""
        RecommendRequest.model_validate(body)
        (self.explained if body.get("explain") else self.asked).append(body)
        words = [w for w in ((body.get("query") or {}).get("wish") or "").split() if len(w) > 5]
        every = self.items
        if words:
            found = [
                pl.col("title").str.to_lowercase().str.contains(w, literal=True) for w in words
            ]
            self.items = every.filter(pl.any_horizontal(found))
        try:
            return super().recommend(body) | {"notices": []}
        finally:
            self.items = every

    def events(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v1/events."""
        self.told += body["events"]
        return super().events(body)
