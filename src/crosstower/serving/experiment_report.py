"""The report of an experiment from the events of a server's state.

A server computes it in a process of its own (`python -m crosstower.serving.experiment_report`), at
low priority, so that requests do not wait for it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.errors import CrosstowerError, DataError
from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.evaluation.experiments.report import ExperimentReport
from crosstower.evaluation.experiments.specification import Experiment
from crosstower.evaluation.experiments.units import segment_columns, with_segments
from crosstower.serving.state import user_table
from crosstower.serving.state.address import StateAddress
from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.event_log import Selection, has_more, last_event, microseconds
from crosstower.serving.state.events import now
from crosstower.serving.state.json_text import json_text
from crosstower.serving.state.state import State
from crosstower.values.columns import text_of
from crosstower.values.instants import minute_text

_NICE = 10


def state_report(
    state: str | StateAddress,
    experiment: Experiment,
    *,
    until: datetime | None = None,
    most_events: int | None = None,
) -> ExperimentReport:
    """Return the report of an experiment from a state; its server may keep writing.

    Args:
        state: address of the server's state.
        experiment: arms, shares and metrics.
        until: end of the comparison, with a zone; None for the end of the experiment, or for the
            present if that is earlier. Events in the future are those of wrong clocks.
        most_events: largest number of events to read; None for no limit.

    Raises:
        ServeError: it is not the state of a server, or is damaged.
        DataError: no event belongs to the experiment, or there are more than `most_events`.

    """
    types, present = experiment.event_types, now()
    if until is None and experiment.since < present:
        until = present
    end = min((end for end in (until, experiment.end) if end), default=None)
    if most_events is not None:
        _check_size(state, experiment, end, most_events)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "events.parquet"
        found = export_events(state, path, after=experiment.since, until=end, types=types)
        if found.events == 0:
            raise DataError(
                f"experiment '{experiment.name}': the state has no events of the types"
                f" {', '.join(types)} since {minute_text(experiment.since)}; start the server"
                " with --log, or send such events"
            )
        events = pl.read_parquet(path)
    if experiment.segments:
        events = _with_attributes(events, state, experiment)
    return experiment_report(events, experiment, until=until)


def _with_attributes(
    events: pl.DataFrame, address: str | StateAddress, experiment: Experiment
) -> pl.DataFrame:
    """Return events whose segments are the attributes of their users where the query has none."""
    known = dict[str, dict[str, Any]]()
    with State.open_existing(address) as state, state.database.reading() as connection:
        for user, attributes in user_table.all_attributes(connection):
            known[str(user)] = attributes
    events = with_segments(events, experiment)
    users = text_of(events["user"])
    for name, column in segment_columns(experiment).items():
        values = {user: row[name] for user, row in known.items() if row.get(name) is not None}
        if values:
            texts = [
                value if isinstance(value, str) else json_text(value) for value in values.values()
            ]
            found = users.replace_strict(list(values), texts, default=None, return_dtype=pl.String)
            own = [events[column].cast(pl.String)] if column in events.columns else []
            events = events.with_columns(pl.coalesce([*own, found]).alias(column))
    return events


def _check_size(
    address: str | StateAddress, experiment: Experiment, end: datetime | None, most: int
) -> None:
    with State.open_existing(address) as state:
        selection = Selection(
            microseconds(experiment.since),
            None if end is None else microseconds(end),
            tuple(experiment.event_types),
            last_event(state.database),
        )
        if has_more(state.database, selection, most):
            raise DataError(
                f"experiment '{experiment.name}': the state has more than {most:,} events of it,"
                " which is too many for a server; run: crosstower experiment report FILE --state"
                f" {state.place}"
            )


def _answer(given: dict[str, Any]) -> dict[str, Any]:
    """Return the report as plain data, or the error message."""
    experiment = Experiment.model_validate_json(given["experiment"])
    try:
        report = state_report(given["state"], experiment, most_events=given["most_events"])
    except CrosstowerError as error:
        return {"error": type(error).__name__, "problem": str(error)}
    return {"report": report.plain()}


def main() -> None:
    """Read a request from the standard input as JSON, and write the answer to the output."""
    os.nice(_NICE)
    sys.stdout.write(json.dumps(_answer(json.load(sys.stdin)), allow_nan=False))


if __name__ == "__main__":
    main()
