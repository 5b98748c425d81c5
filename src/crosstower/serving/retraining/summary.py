"""The versions of a bundle for readers: the command line, the API and the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.retraining.history import History
from crosstower.serving.state.version_log import Entry, VersionEvent

_MOST = 100

Outcome = Literal["base", "running", "published", "refused", "failed", "interrupted", "withdrawn"]
"""State of a version; "base" is the bundle of the command line."""


class VersionSummary(FrozenModel):
    """A version: its verdict and measurements."""

    number: int
    version: str | None = Field(description="Content hash of the bundle; null if it has none.")
    live: bool
    begun: str | None = Field(description="Time in UTC.")
    ended: str | None = Field(description="Time of the verdict, in UTC.")
    verdict: Outcome
    available: bool = Field(description="Whether its bundle still exists and can be served.")
    rows: int | None = Field(default=None, description="Number of rows that it was trained on.")
    facts: dict[str, Any] = Field(default={}, description="About its rows.")
    reasons: list[str] = Field(default=[], description="Reasons why it is not served.")
    notes: list[str] = Field(default=[], description="Comparisons that the gate could not make.")
    figures: dict[str, Any] = Field(default={}, description="Measurements of the gate.")


class JournalLine(FrozenModel):
    """A line of the journal of versions."""

    time: str | None
    event: VersionEvent
    number: int


class VersionsSummary(FrozenModel):
    """The versions of a bundle, the newest first, with the bundle of the command line as 0."""

    live: int | None = Field(
        description="Number of the live version; null for a bundle that was swapped to by its path."
    )
    since: str | None = Field(description="Time since which it is live, in UTC; null if unknown.")
    base: str = Field(description="Content hash of the bundle of the command line.")
    versions: list[VersionSummary]
    journal: list[JournalLine]


def summarise(history: History) -> VersionsSummary:
    """Return the newest versions and lines of a history."""
    lines = dict[int, list[Entry]]()
    for entry in history.entries:
        if entry.number:
            lines.setdefault(entry.number, []).append(entry)
    there = history.published()
    numbers = sorted(lines, reverse=True)[:_MOST]
    versions = [
        _summary(n, lines[n], live=history.live.number == n, available=n in there) for n in numbers
    ]
    base = VersionSummary(
        number=0,
        version=history.base_version,
        live=history.live.number == 0,
        begun=None,
        ended=None,
        verdict="base",
        available=True,
    )
    newest = reversed(history.entries[-_MOST:])
    return VersionsSummary(
        live=history.live.number,
        since=_text(history.since()),
        base=history.base_version,
        versions=[*versions, base],
        journal=[JournalLine(time=_text(e.time), event=e.event, number=e.number) for e in newest],
    )


def _summary(number: int, lines: Sequence[Entry], *, live: bool, available: bool) -> VersionSummary:
    begun = next((e for e in lines if e.event == "begun"), None)
    ended = next((e for e in lines if e.event not in ("begun", "rolled_back")), None)
    withdrawn = [e for e in lines if e.event == "withdrawn"]
    detail = {} if ended is None else ended.detail
    facts = detail.get("facts", {})
    last = withdrawn[-1] if withdrawn else ended
    return VersionSummary(
        number=number,
        version=detail.get("version"),
        live=live,
        begun=_text(None if begun is None else begun.time),
        ended=_text(None if ended is None else ended.time),
        verdict="running" if last is None else last.event,
        available=available,
        rows=facts.get("rows"),
        facts=facts,
        reasons=[] if last is None else last.detail.get("reasons", []),
        notes=detail.get("notes", []),
        figures=detail.get("figures", {}),
    )


def _text(time: datetime | None) -> str | None:
    if time is None:
        return None
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
