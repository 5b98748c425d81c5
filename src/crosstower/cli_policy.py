"""The command that tells what a run's order would have earned in another policy's log."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli_options import Json, RunArgument

if TYPE_CHECKING:
    from crosstower.evaluate.off_policy import Estimate
    from crosstower.evaluate.policy_report import PolicyReport

policy_app = typer.Typer()
_TITLES = {
    "logged": "mean",
    "inverse_propensity": "IPS",
    "self_normalised": "SNIPS",
    "direct_method": "direct",
    "doubly_robust": "doubly robust",
}
_WEIGHTED = ("inverse_propensity", "self_normalised", "doubly_robust")


@policy_app.command(
    epilog="Example: crosstower policy runs/fashion --action item_id --propensity propensity_score"
    " --slot position"
)
def policy(
    run: RunArgument,
    action: Annotated[str, typer.Option(help="Column of what was chosen, such as an item's id.")],
    propensity: Annotated[str, typer.Option(help="Column of the chance with which it was chosen.")],
    reward: Annotated[str | None, typer.Option(help="Task; the run's first if unset.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Log not trained on; the run's test rows if unset.")
    ] = None,
    item_column: Annotated[
        list[str] | None,
        typer.Option(help="Column that follows from the action; may be repeated. Found if unset."),
    ] = None,
    slot: Annotated[str | None, typer.Option(help="Column of the place that a row filled.")] = None,
    temperature: Annotated[
        float, typer.Option(help="0 takes the best action; in units of the scores.")
    ] = 0.0,
    clip: Annotated[float | None, typer.Option(help="Largest weight; no limit if unset.")] = None,
    as_json: Json = False,
) -> None:
    """Estimate what this order would have earned, from a log with propensities."""
    from rich.console import Console

    from crosstower.policy import evaluate_policy
    from crosstower.run import Run

    opened = Run.open(run)
    with Console(stderr=True).status("reading") as status:
        report = evaluate_policy(
            opened,
            action=action,
            propensity=propensity,
            reward=reward,
            data=data,
            item_columns=item_column,
            slot=slot,
            temperature=temperature,
            clip=clip,
            progress=lambda stage, rows: status.update(f"{stage}: {rows:,} rows"),
        )
    if as_json:
        typer.echo(json.dumps(report.plain(), indent=1, allow_nan=False))
    else:
        print_policy(report)


def print_policy(report: PolicyReport) -> None:
    """Print the estimates by policy, those by slot, and what they mean."""
    from crosstower.cli_tables import console, print_table

    facts, out = report.facts, console()
    follow = ", ".join(facts.item_columns) or "no other column"
    title = f"{facts.reward} a row: {report.rows:,} rows, {facts.actions:,} actions"
    names = ["Policy", "Estimate", "Value", "95 % interval", "Effective rows", "Max weight"]
    rows = [
        [policy if place == 0 else "", *_cells(name, estimate)]
        for policy, found in report.policies.items()
        for place, (name, estimate) in enumerate(found.items())
    ]
    print_table(title, [*names, "Clipped"], rows)
    if report.slots:
        names = ["Slot", "Rows", "Logged", "Model", "95 % interval"]
        print_table("By slot, doubly robust", names, _slot_rows(report))
    how = "its best" if facts.temperature == 0.0 else f"drawn at temperature {facts.temperature:g}"
    out.print(f"model: {how} by {facts.score}; with {facts.action} goes {follow}", highlight=False)
    for sentence in (report.verdict(), *(f"warning: {words}" for words in report.warnings)):
        out.print(sentence, highlight=False)


def _cells(name: str, estimate: Estimate) -> list[str]:
    cells = [_TITLES[name], _number(estimate.value), _interval(estimate)]
    if name not in _WEIGHTED:
        return [*cells, "–", "–", "–"]
    share = estimate.clipped / estimate.rows
    size = f"{estimate.effective_sample_size:,.0f}"
    return [*cells, size, _number(estimate.max_weight), f"{share:.1%}"]


def _slot_rows(report: PolicyReport) -> list[list[str]]:
    return [
        [
            slot,
            f"{found['model'].rows:,}",
            _number(found["logged"].value),
            _number(found["model"].value),
            _interval(found["model"]),
        ]
        for slot, found in report.slots.items()
    ]


def _interval(estimate: Estimate) -> str:
    return " to ".join(_number(end) for end in estimate.interval())


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"
