"""`crosstower off-policy`: estimate the value of a new policy from logged data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstower.cli.options import RANK, Json, checked_state, time_of
from crosstower.errors import QueryError
from crosstower.recipe.renamed import warn_renamed

if TYPE_CHECKING:
    from crosstower.fitting.off_policy.importance import Estimate
    from crosstower.fitting.off_policy.report import PolicyReport

off_policy_app = typer.Typer()
_TITLES = {
    "logged": "mean",
    "inverse_propensity": "IPS",
    "self_normalised": "SNIPS",
    "direct_method": "direct",
    "doubly_robust": "doubly robust",
    "switch_doubly_robust": "Switch-DR",
    "shrunk_doubly_robust": "DR shrunk",
}
_UNWEIGHTED = ("logged", "direct_method")


@off_policy_app.command(
    "off-policy",
    rich_help_panel=RANK,
    epilog="Examples: crosstower off-policy runs/fashion --action item_id"
    " --propensity propensity_score --slot position --refits 20   |  "
    " crosstower off-policy bundle --state bundle.state --reward click",
)
@off_policy_app.command("policy", hidden=True)
def off_policy(
    context: typer.Context,
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run of a ranker; with --state a bundle.")
    ],
    action: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the logged action, e.g. an item id."),
    ] = None,
    propensity: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the logged propensity, in (0, 1]."),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            callback=checked_state,
            help="State of a server (a folder, or postgresql://USER@HOST/DATABASE): use its"
            " logged lists.",
        ),
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", help="Event type of the reward, with --state (default: --reward)."
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Lists from this time on, with --state.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Lists before this time, with --state.")
    ] = None,
    reward: Annotated[
        str | None, typer.Option(metavar="TASK", help="Task to use as reward (default: the first).")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Held-out log (default: the test rows)."),
    ] = None,
    item_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column that the action determines; repeatable (default: inferred).",
        ),
    ] = None,
    slot: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the slot (position) of a row.")
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", help="Softmax temperature, in units of the score; 0 takes the best."
        ),
    ] = 0.0,
    clip: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Largest importance weight (default: no limit)."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of a target policy's probabilities: of all actions, or the logged one.",
        ),
    ] = None,
    target_actions: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the actions in the lists of --target (default: ascending).",
        ),
    ] = None,
    refits: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Bootstrap refits for the interval of the direct method."
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Estimate the value of a policy from a log with propensities.

    Without --state, the log is a table and the policy is that of a run. With --state, the log is
    the lists that a server has shown, and the policy is that of a bundle.
    """
    from rich.console import Console

    from crosstower.data.progress import progress_on

    if context.info_name == "policy":
        warn_renamed("crosstower policy", "crosstower off-policy")
    of_rows: dict[str, Any] = {
        "action": action, "propensity": propensity, "data": data, "item_columns": item_column,
        "slot": slot, "target": target, "target_actions": target_actions, "refits": refits,
    }  # fmt: skip
    of_lists: dict[str, Any] = {
        "event": event,
        "after": time_of("--after", after),
        "until": time_of("--until", until),
    }
    _check_options(state, of_rows, of_lists)
    with Console(stderr=True).status("reading") as status:
        shared: dict[str, Any] = {
            "reward": reward, "temperature": temperature, "clip": clip,
            "on_progress": progress_on(status),
        }  # fmt: skip
        if state is not None:
            from crosstower.serving.off_policy import evaluate_logged

            report = evaluate_logged(run, state, **of_lists, **shared)
        else:
            from crosstower.fitting.off_policy.evaluate import evaluate_policy

            report = evaluate_policy(run, **of_rows, **shared)
    if as_json:
        typer.echo(json.dumps(report.plain(), indent=1, allow_nan=False))
    else:
        print_policy(report)


def _check_options(
    state: str | None, of_rows: Mapping[str, Any], of_lists: Mapping[str, Any]
) -> None:
    """Reject options of the other kind of log, and a table without its columns."""
    if state is None:
        for name in ("action", "propensity"):
            if of_rows[name] is None:
                raise QueryError(
                    f"--{name}: is missing; name the column of the log, or give --state for the"
                    " lists that a server has logged"
                )
    other, where = (
        (of_lists, "use it with --state only")
        if state is None
        else (of_rows, "use it without --state")
    )
    for name, value in other.items():
        if value:
            option = name.replace("_", "-").removesuffix("s" if name == "item_columns" else "")
            raise QueryError(f"--{option}: {where}")


def print_policy(report: PolicyReport) -> None:
    """Print the estimates per policy and per slot, and the verdicts."""
    from crosstower.cli.tables import console, print_table

    facts, out = report.facts, console()
    follow = ", ".join(facts.item_columns) or "no other column"
    title = f"{facts.reward} per row: {report.rows:,} rows, {facts.actions:,} actions"
    names = ["Policy", "Estimate", "Value", "95 % interval", "Eff. rows", "Max weight", "Clipped"]
    rows = [
        [policy if place == 0 else "", *_cells(name, estimate)]
        for policy, found in report.policies.items()
        for place, (name, estimate) in enumerate(found.items())
    ]
    print_table(title, [*names, "Parameter"], rows)
    if report.slots:
        names = ["Slot", "Policy", "Rows", "Logged", "Value", "95 % interval"]
        print_table("By slot, doubly robust", names, _slot_rows(report))
    how = (
        "best action" if facts.temperature == 0.0 else f"softmax, temperature {facts.temperature:g}"
    )
    of = f"{facts.action} determines {follow}"
    if facts.lists:
        of = f"per place of {facts.lists:,} lists, among the candidates that were drawn"
    out.print(f"model: {how} by {facts.score}; {of}", highlight=False)
    for words in _on_the_direct_method(report):
        out.print(words, highlight=False)
    for words in map(report.verdict, report.gains):
        out.print(words, highlight=False)
    for words in report.warnings:
        out.print(f"warning: {words}", highlight=False)


def _on_the_direct_method(report: PolicyReport) -> list[str]:
    if report.facts.refits:
        return [
            f"direct: the interval includes the spread of {report.facts.refits} bootstrap refits"
        ]
    more = "" if report.facts.lists else "; add --refits 20"
    return [f"direct: no interval, as one model does not show its own error{more}"]


def _cells(name: str, estimate: Estimate) -> list[str]:
    cells = [_TITLES[name], _number(estimate.value), _interval(estimate)]
    if name in _UNWEIGHTED:
        return [*cells, "–", "–", "–", "–"]
    share = estimate.clipped / estimate.rows
    size = f"{estimate.effective_sample_size:,.0f}"
    parameter = "–" if estimate.parameter is None else f"{estimate.parameter:.3g}"
    return [*cells, size, _number(estimate.max_weight), f"{share:.1%}", parameter]


def _slot_rows(report: PolicyReport) -> list[list[str]]:
    return [
        [
            slot,
            name,
            f"{estimate.rows:,}",
            _number(found["logged"].value),
            _number(estimate.value),
            _interval(estimate),
        ]
        for slot, found in report.slots.items()
        for name, estimate in found.items()
        if name != "logged"
    ]


def _interval(estimate: Estimate) -> str:
    ends = estimate.interval()
    return "–" if any(map(math.isnan, ends)) else " to ".join(map(_number, ends))


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"
