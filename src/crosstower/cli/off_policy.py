"""The command that estimates what an order would have earned in another policy's log."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import Json, RunArgument

if TYPE_CHECKING:
    from crosstower.off_policy.importance import Estimate
    from crosstower.off_policy.report import PolicyReport

policy_app = typer.Typer()
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


@policy_app.command(
    "off-policy",
    epilog="Example: crosstower off-policy runs/fashion --action item_id"
    " --propensity propensity_score --slot position --refits 20",
)
@policy_app.command("policy", hidden=True)
def off_policy(
    context: typer.Context,
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
    target: Annotated[
        str | None,
        typer.Option(help="Column of a given policy's chances: a list, or that of the action."),
    ] = None,
    target_actions: Annotated[
        str | None,
        typer.Option(help="Column of lists: the actions of --target; ascending if unset."),
    ] = None,
    refits: Annotated[
        int,
        typer.Option(min=0, help="Trainings on drawn rows, for the direct method's interval."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Estimate what an order would have earned, from a log with propensities."""
    from rich.console import Console

    from crosstower.data.progress import progress_on
    from crosstower.off_policy.evaluate import evaluate_policy
    from crosstower.training.run import Run

    if context.info_name == "policy":
        words = "crosstower policy: renamed to 'crosstower off-policy'; use that name from now on"
        typer.echo(words, err=True)
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
            target=target,
            target_actions=target_actions,
            refits=refits,
            on_progress=progress_on(status),
        )
    if as_json:
        typer.echo(json.dumps(report.plain(), indent=1, allow_nan=False))
    else:
        print_policy(report)


def print_policy(report: PolicyReport) -> None:
    """Print the estimates by policy, those by slot, and what they mean."""
    from crosstower.cli.tables import console, print_table

    facts, out = report.facts, console()
    follow = ", ".join(facts.item_columns) or "no other column"
    title = f"{facts.reward} a row: {report.rows:,} rows, {facts.actions:,} actions"
    names = ["Policy", "Estimate", "Value", "95 % interval", "Eff. rows", "Max weight", "Cut"]
    rows = [
        [policy if place == 0 else "", *_cells(name, estimate)]
        for policy, found in report.policies.items()
        for place, (name, estimate) in enumerate(found.items())
    ]
    print_table(title, [*names, "Parameter"], rows)
    if report.slots:
        names = ["Slot", "Policy", "Rows", "Logged", "Value", "95 % interval"]
        print_table("By slot, doubly robust", names, _slot_rows(report))
    how = "its best" if facts.temperature == 0.0 else f"drawn at temperature {facts.temperature:g}"
    out.print(f"model: {how} by {facts.score}; with {facts.action} goes {follow}", highlight=False)
    for words in _on_the_direct_method(report):
        out.print(words, highlight=False)
    for words in map(report.verdict, report.gains):
        out.print(words, highlight=False)
    for words in report.warnings:
        out.print(f"warning: {words}", highlight=False)


def _on_the_direct_method(report: PolicyReport) -> list[str]:
    if report.facts.refits:
        again = f"{report.facts.refits} trainings on rows drawn from the run's"
        return [f"direct: its interval includes what differs between {again}"]
    return ["direct: no interval, as the model's own error is not known; --refits 20 finds it"]


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
