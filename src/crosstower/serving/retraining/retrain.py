"""Retraining: events to rows, a warm start of each stage, a bundle, the gate, and the swap."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import BundleError, QueryError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.recipe.arguments import place_argument
from crosstower.serving.retraining.gate import judge
from crosstower.serving.retraining.plan import RetrainPlan, load_plan
from crosstower.serving.retraining.steps import RetrainingSteps
from crosstower.serving.retraining.version_folders import versions_folder
from crosstower.serving.retraining.versions import Versions
from crosstower.serving.state.address import StateAddress
from crosstower.serving.state.state import State
from crosstower.values.addresses.address import Place

Outcome = Literal["published", "refused", "skipped"]


@dataclass(frozen=True)
class Retrained:
    """The result of a retraining.

    Args:
        outcome: published, rejected by the gate ("refused"), or skipped for too few rows.
        number: of the version; None if it was skipped.
        rows: number of new impressions.
        reasons: why it was not published.
        notes: sentences about rows that were left out.
        figures: measurements of the gate.
        seconds: that it took.

    """

    outcome: Outcome
    number: int | None
    rows: int
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    figures: dict[str, Any]
    seconds: float

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dict(vars(self))


def retrain(
    bundle: str | Place,
    state: str | StateAddress,
    *,
    plan: RetrainPlan | str | Path | None = None,
    versions: str | Place | None = None,
    until: datetime | None = None,
    experiments: Experiments | None = None,
    on_progress: OnProgress = no_progress,
) -> Retrained:
    """Train the next version of a bundle from a server's events, and serve it if it is no worse.

    The server may run meanwhile, and follows within a second.

    Args:
        bundle: path or address of the bundle that the server was started with.
        state: address of the server's state.
        plan: labels, rows, training and gate; a file, or None for the defaults.
        versions: path or address of the folder of the versions; `BUNDLE.versions` if None.
        until: use events before this time, which has a zone; now if None.
        experiments: of the server; the gate sends one request per arm.
        on_progress: called at each step.

    Raises:
        RecipeError: the plan is wrong.
        RunError: a run of the plan is missing, or not the bundle's.
        DataError: there are no impressions, or the rows cannot be trained on.
        ServeError: the state is missing or damaged, another retraining runs, or the disk is full.

    """
    begin = time.monotonic()
    given = plan if isinstance(plan, RetrainPlan) else load_plan(plan)
    base = place_argument("bundle", bundle, error=BundleError, expected="a bundle folder")
    folder = versions_folder(base) if versions is None else versions
    with (
        State.open_existing(state) as opened,
        Versions.open(folder, opened, base=base, keep=given.keep) as kept,
    ):
        work = RetrainingSteps(given, kept.live(), opened, _time(until))
        rows = work.event_rows(on_progress)
        new = work.new_rows(rows)
        if new < given.rows.min_new:
            reason = f"{new:,} new rows; at least {given.rows.min_new:,} are needed (rows.min_new)"
            seconds = time.monotonic() - begin
            return Retrained("skipped", None, new, (reason,), rows.notes, {}, seconds)
        with kept.attempt() as attempt:
            training = work.fill(attempt, rows, on_progress)
            on_progress("the gate")
            verdict = judge(
                work.live.bundle,
                attempt.bundle,
                training.tested,
                earlier=training.earlier,
                positives=training.positives,
                limits=given.gate,
                experiments=experiments,
            )
            facts = training.facts.model_dump(mode="json")
            published = attempt.finish(verdict, facts=facts)
    plain = verdict.plain()
    return Retrained(
        "published" if published else "refused",
        attempt.number,
        new,
        attempt.reasons,
        (*rows.notes, *training.notes, *plain["notes"]),
        plain["figures"],
        time.monotonic() - begin,
    )


def _time(until: datetime | None) -> datetime:
    if until is not None and until.utcoffset() is None:
        raise QueryError(f"until: expected a time with a time zone, got {until.isoformat()}")
    return datetime.now(UTC) if until is None else until.astimezone(UTC)
