"""The JSON body that describes the bundle that is served."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.http.settings import Limits, Shop


class _Response(FrozenModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Named(_Response):
    """A column or a task and its kind."""

    name: str
    kind: str
    examples: list[Any] = Field(default=[])


class Attribute(_Response):
    """An attribute of items, for use in filters."""

    name: str
    type: str
    flag: bool = Field(description="Whether its values are 0 and 1, or booleans.")


class BlendSummary(_Response):
    """The blend of the bundle."""

    weights: dict[str, float]
    mode: str
    transform: str | dict[str, str]
    by: str | None
    amount: str | None
    diversity: dict[str, Any] | None


class ModelResponse(_Response):
    """The bundle that is served."""

    version: str
    number: int | None = Field(
        description="Number of the version: 0 for the bundle of the command line, null for a bundle"
        " that was swapped to by its path."
    )
    name: str
    created: str
    crosstower: str
    stages: list[str]
    items: int
    newer_items: int
    candidates: int
    weights: str | None = Field(
        description="SHA-256 of the retrieval model's weights, which changed vectors must name."
    )
    form: str = Field(description="Form in which the ranker's model runs: eager or onnx.")
    limits: Limits
    user_column: str | None
    item_column: str | None
    query_columns: list[Named]
    needed_columns: list[str]
    attributes: list[Attribute]
    text_search: bool
    tasks: list[Named]
    blend: BlendSummary | None
    explore: dict[str, Any] | None = Field(description="Exploration of all lists, if any.")
    log: bool = Field(description="Whether lists are logged by default.")
    live_events: list[str] = Field(
        description="Types of events that act on later lists: those of histories, then those that"
        " counters count."
    )
    shop: Shop | None = Field(
        description="The shop of the page; null unless `crosstower play` runs the server."
    )
    rules: dict[str, Any]
    blend_by: list[str]
    types: str | None
    transforms: list[str]
    sample_users: list[int | str]
    metrics: dict[str, Any]
