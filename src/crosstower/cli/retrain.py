"""`crosstower retrain`: train the next version of a bundle from a server's events."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstower.cli.options import SERVE, Json, StateOfBundle, state_of, time_of
from crosstower.errors import CrosstowerError, QueryError

if TYPE_CHECKING:
    from crosstower.serving.retraining.plan import RetrainPlan
    from crosstower.serving.retraining.retrain import Retrained

REFUSED = 6
"""Exit code of a version that the gate has rejected."""

retrain_app = typer.Typer()


@retrain_app.command(
    rich_help_panel=SERVE,
    epilog="Examples: crosstower retrain bundle --from runs/retrieval --from runs/ranking   |  "
    " crosstower retrain bundle --plan retrain.yaml --every 1d. Exit codes: 0 published or skipped,"
    " 6 rejected by the gate, others as in crosstower --help.",
)
def retrain(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="Bundle that the server was started with; a folder or an address.",
        ),
    ],
    state: StateOfBundle = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Labels, rows, training and gate, as YAML."),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Run that the bundle was built from; repeatable. Needed for version 1 only.",
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="INTERVAL", help="Repeat until stopped, such as 12h or 1d."),
    ] = None,
    versions: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the versions, also at an address (default: BUNDLE.versions).",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Use events before this time (default: now)."),
    ] = None,
    experiments: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Experiments of the server; the gate sends one request per arm."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the next version from the events since the last one; serve it if it is no worse.

    Events become labelled rows, both models continue from their weights, and calibration, blend
    and index are rebuilt. A gate compares the new bundle with the live one on the newest rows. A
    running server follows within a second.
    """
    from crosstower.evaluation.experiments.experiment_file import load_experiments
    from crosstower.serving.retraining.plan import load_plan
    from crosstower.serving.retraining.retrain import retrain as run

    seconds = None if every is None else _seconds(every)
    if seconds is not None and until is not None:
        raise QueryError("--until: not allowed with --every, which always uses the events so far")
    given = _with_runs(load_plan(plan), runs or [])
    arms = None if experiments is None else load_experiments(experiments)

    def attempt(on_progress: Any) -> Retrained:
        return run(
            bundle,
            state_of(bundle, state),
            plan=given,
            versions=versions,
            until=time_of("--until", until),
            experiments=arms,
            on_progress=on_progress,
        )

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops like Ctrl-C
    if seconds is not None:
        _repeat(attempt, seconds, as_json=as_json)
        return
    found = _shown(attempt)
    _print(found, as_json=as_json)
    if found.outcome == "refused":
        raise typer.Exit(REFUSED)


def _shown(attempt: Callable[[Any], Retrained]) -> Retrained:
    """Return the result of an attempt, whose steps are shown meanwhile."""
    from rich.console import Console

    from crosstower.data.progress import progress_on

    with Console(stderr=True).status("opening the state") as status:
        return attempt(progress_on(status))


def _repeat(attempt: Callable[[Any], Retrained], every: float, *, as_json: bool) -> None:
    """Run attempts on a schedule until the process is stopped; report each on one line."""
    from crosstower.serving.retraining.schedule import next_start

    first, failures = time.time(), 0
    while True:
        try:
            _print_line(_shown(attempt), as_json=as_json)
            failures = 0
        except (CrosstowerError, OSError, MemoryError) as error:
            failures += 1
            _print_failure(error, as_json=as_json)
        start = next_start(first, every, time.time(), failures=failures)
        if failures:
            sys.stderr.write(f"next attempt at {_words(start)}\n")
        try:
            while (left := start - time.time()) > 0:
                time.sleep(min(left, 60.0))
        except KeyboardInterrupt:
            return


def _print(found: Retrained, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.plain(), indent=1))
        return
    typer.echo(sentence(found))
    for line in (*found.reasons, *(f"Note: {note}" for note in found.notes)):
        typer.echo(f"  {line}")


def _print_line(found: Retrained, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"time": datetime.now(UTC).isoformat(), **found.plain()}))
    else:
        reasons = f": {'; '.join(found.reasons)}" if found.reasons else ""
        typer.echo(f"{_words(time.time())}  {sentence(found)}{reasons}")
    sys.stdout.flush()


def _print_failure(error: Exception, *, as_json: bool) -> None:
    reason = f"{error}" or type(error).__name__
    if as_json:
        now = datetime.now(UTC).isoformat()
        typer.echo(json.dumps({"time": now, "outcome": "failed", "reasons": [reason]}))
    else:
        typer.echo(f"{_words(time.time())}  failed: {reason}")
    sys.stdout.flush()


def sentence(found: Retrained) -> str:
    """Return the result of a retraining as text."""
    rows = f"{found.rows:,} new rows"
    if found.outcome == "skipped":
        return f"Skipped: too few new rows ({rows})"
    verb = "is live" if found.outcome == "published" else "was rejected; the live version stays"
    return f"Version {found.number} {verb} ({rows}, {found.seconds:.0f} s)"


def _with_runs(plan: RetrainPlan, runs: Sequence[Path]) -> RetrainPlan:
    """Return a plan with the runs of the command line, by their kind."""
    from crosstower.training.run import Run

    named = dict[str, str]()
    for folder in runs:
        kind = "ranking" if Run.open(folder).recipe.retrieval is None else "retrieval"
        if kind in named:
            raise QueryError(
                f"--from: {named[kind]} and {folder} are both {kind} runs; name one of each kind"
            )
        named[kind] = str(folder)
    return plan.model_copy(update={"runs": plan.runs.model_copy(update=named)})


def _seconds(every: str) -> float:
    from crosstower.values.durations import seconds_of

    try:
        return seconds_of(every)
    except ValueError as error:
        raise QueryError(f"--every: {error}") from None


def _words(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
