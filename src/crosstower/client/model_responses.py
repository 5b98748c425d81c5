"""Responses that describe the server: its bundle, its versions and its experiments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from crosstower.client.responses import Response


class Named(Response):
    """A column or a task and its kind."""

    name: str = Field(description="Name of the column or task.")
    kind: str = Field(description="Kind, such as categorical or binary.")
    examples: list[Any] = Field(default=[], description="Some of its values.")


class Attribute(Response):
    """An attribute of items, for use in filters."""

    name: str = Field(description="Name of the attribute.")
    type: str = Field(description="Type of its values.")
    flag: bool = Field(description="Whether its values are 0 and 1, or booleans.")


class BlendSummary(Response):
    """The blend of a bundle."""

    weights: dict[str, float] = Field(description="Weight by task.")
    mode: str = Field(description="How the scores are combined.")
    transform: str | dict[str, str] = Field(description="Transform of all tasks, or by task.")
    by: str | None = Field(description="Content type column; None for one map.")
    amount: str | None = Field(description="Column that multiplies the score.")
    diversity: dict[str, Any] | None = Field(description="Diversity of the list.")


class Limits(Response):
    """Limits of a server."""

    body_bytes: int = Field(default=1_000_000, description="Bytes of a body.")
    k: int = Field(default=1_000, description="Items of a list.")
    candidates: int = Field(default=5_000, description="Candidates of a request.")
    items: int = Field(default=1_000, description="Items or vectors of a request.")
    events: int = Field(default=1_000, description="Events of a request.")
    users: int = Field(default=1_000, description="Users of a request.")
    max_queue: int = Field(default=256, description="Waiting requests per worker.")
    max_batch_size: int = Field(default=8, description="Requests that are processed as one batch.")
    queue_timeout: float = Field(default=10.0, description="Longest wait in seconds.")
    wait_seconds: float = Field(default=0.6, description="Expected wait that rejects a request.")
    connections: int = Field(default=1_000, description="Open connections per worker.")
    headers: int = Field(default=100, description="Headers of a request.")
    header_bytes: int = Field(default=32_768, description="Bytes of all headers.")
    read_seconds: float = Field(default=15.0, description="Time to send a request.")
    max_staleness: float = Field(
        default=60.0, description="Seconds without news of the state of a server that is ready."
    )
    state_bytes: int | None = Field(default=None, description="Largest size of the state.")


class Shop(Response):
    """The shop of the page."""

    searches: list[str] = Field(default=[], description="Examples of texts to search by.")


class ModelResponse(Response):
    """The bundle that is served."""

    version: str = Field(description="Version of the bundle.")
    number: int | None = Field(
        description="Number of the version: 0 for the bundle of the command line, None for a bundle"
        " that was swapped to by its path."
    )
    name: str = Field(description="Name of the recipes.")
    created: str = Field(description="Time at which the bundle was made.")
    crosstower: str = Field(description="Version of the library that made the bundle.")
    stages: list[str] = Field(description="Stages of the bundle.")
    items: int = Field(description="Number of items.")
    newer_items: int = Field(description="Items added or changed since the bundle was built.")
    candidates: int = Field(description="Default number of items to rank.")
    weights: str | None = Field(
        description="SHA-256 of the retrieval model's weights, which changed vectors must name."
    )
    form: str = Field(description="Form in which the ranker's model runs: eager or onnx.")
    limits: Limits = Field(description="Limits of the server.")
    user_column: str | None = Field(description="Column of the user's id.")
    item_column: str | None = Field(description="Column of the item's id.")
    query_columns: list[Named] = Field(description="Columns of a query.")
    needed_columns: list[str] = Field(description="Columns that every query must have.")
    attributes: list[Attribute] = Field(description="Attributes for conditions.")
    text_search: bool = Field(description="Whether items can be searched by a text.")
    tasks: list[Named] = Field(description="Tasks of the ranker.")
    blend: BlendSummary | None = Field(description="Blend of all lists.")
    explore: dict[str, Any] | None = Field(description="Exploration of all lists, if any.")
    log: bool = Field(description="Whether lists are logged by default.")
    live_events: list[str] = Field(description="Types of events that act on later lists.")
    shop: Shop | None = Field(description="The shop of the page; null if there is none.")
    rules: dict[str, Any] = Field(description="Rules of all lists.")
    blend_by: list[str] = Field(description="Columns that a blend can be fitted by.")
    types: str | None = Field(description="Column of content types.")
    transforms: list[str] = Field(description="Transforms that a blend may name.")
    sample_users: list[int | str] = Field(description="Ids of some users.")
    metrics: dict[str, Any] = Field(description="Test metrics of the runs.")


class ExperimentSummary(Response):
    """An experiment of the server, and the arm of the requested user."""

    name: str = Field(description="Name of the experiment.")
    start: datetime = Field(description="First instant.")
    end: datetime | None = Field(description="Instant after the last; None without an end.")
    active: bool = Field(description="Whether it runs now.")
    shares: dict[str, float] = Field(description="Share of the users by arm.")
    versions: dict[str, str] = Field(description="By arm with its own bundle: its version.")
    arm: str | None = Field(description="Arm of the user; None without a user.")


class ExperimentsResponse(Response):
    """The experiments of the server."""

    experiments: list[ExperimentSummary] = Field(description="All of them.")


class ExperimentReportResponse(Response):
    """The report of an experiment, as `crosstower experiment report --json` prints it."""

    computed: datetime = Field(description="Time of the report; it is kept for a minute.")
    name: str = Field(description="Name of the experiment.")
    start: datetime = Field(description="First instant.")
    until: datetime = Field(description="Time of the last event.")
    control: str = Field(description="Arm that the others are compared with.")
    primary: str | None = Field(description="Metric that decides the verdict.")
    level: float = Field(description="Level of the intervals.")
    users: dict[str, int] = Field(description="Number of users by arm.")
    ratio: dict[str, Any] | None = Field(description="Test of the numbers of users per arm.")
    lifts: list[dict[str, Any]] = Field(description="Lift by metric and arm.")
    segments: list[dict[str, Any]] = Field(description="Lift by segment.")
    interleaved: list[dict[str, Any]] = Field(description="Results of interleaved arms.")
    sizes: list[dict[str, Any]] = Field(description="Users that a metric needs.")
    daily: dict[str, Any] = Field(description="Values by day.")
    verdicts: list[str] = Field(description="Findings as sentences, most important first.")
    notes: list[str] = Field(description="Remarks on the rows.")


class VersionSummary(Response):
    """A version: its verdict and measurements."""

    number: int = Field(description="Number of the version.")
    version: str | None = Field(description="Content hash of the bundle; None if it has none.")
    live: bool = Field(description="Whether it is served.")
    begun: str | None = Field(description="Time in UTC.")
    ended: str | None = Field(description="Time of the verdict, in UTC.")
    verdict: str = Field(
        description="base, running, published, refused, failed, interrupted or withdrawn."
    )
    available: bool = Field(description="Whether its bundle still exists and can be served.")
    rows: int | None = Field(default=None, description="Number of rows that it was trained on.")
    facts: dict[str, Any] = Field(default={}, description="About its rows.")
    reasons: list[str] = Field(default=[], description="Reasons why it is not served.")
    notes: list[str] = Field(default=[], description="Comparisons that the gate could not make.")
    figures: dict[str, Any] = Field(default={}, description="Measurements of the gate.")


class JournalLine(Response):
    """A line of the journal of versions."""

    time: str | None = Field(description="Time in UTC.")
    event: str = Field(
        description="begun, published, refused, failed, interrupted, withdrawn or rolled_back."
    )
    number: int = Field(description="Number of the version.")


class VersionsSummary(Response):
    """The versions of a bundle, the newest first, with the bundle of the command line as 0."""

    live: int | None = Field(
        description="Number of the live version; None for a bundle that was swapped to by its path."
    )
    since: str | None = Field(description="Time since which it is live, in UTC; None if unknown.")
    base: str = Field(description="Content hash of the bundle of the command line.")
    versions: list[VersionSummary] = Field(description="Newest first, at most 100.")
    journal: list[JournalLine] = Field(description="Newest first, at most 100.")
