"""`crosstower explain`: contributions of columns to the predictions of rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstower.cli.options import RANK, Events, Json, Model, RunArgument, Seed
from crosstower.errors import QueryError

if TYPE_CHECKING:
    from crosstower.ranking.explain import Explanation

_WIDEST = 40
explain_app = typer.Typer()


@explain_app.command(
    rich_help_panel=RANK,
    epilog="Examples: crosstower explain runs/adult adult.csv --row 17   |  "
    """ crosstower explain runs/clicks '{"user_id": 3, "item_id": 8}' --task click""",
)
def explain(
    run: RunArgument,
    rows: Annotated[
        str,
        typer.Argument(
            metavar="ROWS",
            help="A row as a JSON object, the candidates of a request as a JSON list of such rows,"
            " or a file of raw rows.",
        ),
    ],
    row: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of a row of the file, from 0; repeatable (default: 0; all rows of JSON).",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK", help="Task to show; repeatable (default: all of them)."),
    ] = None,
    background: Annotated[
        int,
        typer.Option(
            min=1,
            max=256,
            metavar="N",
            help="Number of validation rows to compare with; more rows reduce the standard error.",
        ),
    ] = 128,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Columns to show per task.")] = 20,
    events: Events = None,
    model: Model = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Show how much each column contributes to a prediction.

    The contributions sum to the prediction minus the base, the mean prediction of validation rows.
    """
    from crosstower.ranking.ranker import Ranker
    from crosstower.training.run import Run

    opened = Run.open(run)
    ranker = Ranker.open(
        opened if events is None else opened.with_events(events), model=model, seed=seed
    )
    data = _parsed(rows)
    chosen = row if row or not isinstance(data, str) else [0]
    found = ranker.explain(data, rows=chosen or None, background=background)
    shown = task or list(found[0].tasks)
    for name in shown:
        if name not in found[0].tasks:
            allowed = ", ".join(found[0].tasks)
            raise QueryError(f"--task: no task '{name}'; the run has: {allowed}")
    if as_json:
        plain = [one.plain() for one in found]
        kept = [{**one, "tasks": {t: one["tasks"][t] for t in shown}} for one in plain]
        typer.echo(json.dumps(kept, indent=1, default=str))
        return
    for one in found:
        for name in shown:
            _print(one, name, top)


def _parsed(rows: str) -> Any:
    """Return rows of JSON as data, and anything else as the path that it is."""
    if not rows.lstrip().startswith(("{", "[")):
        return rows
    try:
        found = json.loads(rows)
    except ValueError as error:
        raise QueryError(f'ROWS: not valid JSON: {error}; quote names and texts by "') from None
    if not found:
        raise QueryError('ROWS: the JSON holds no row; give an object such as {"user_id": 3}')
    return found


def _print(explanation: Explanation, task: str, top: int) -> None:
    from crosstower.cli.tables import console, indented, print_table

    found = explanation.tasks[task]
    pairs = sorted(found.contributions.items(), key=lambda pair: -abs(pair[1]))
    lines = [
        [
            name,
            _value(explanation.values.get(name)),
            f"{contribution:+.4f}",
            f"{found.errors[name]:.4f}",
        ]
        for name, contribution in pairs[:top]
    ]
    title = f"row {explanation.row}, {task}: {found.base:.4f} (base) to {found.prediction:.4f}"
    print_table(title, ["column", "value", "contribution", "error"], lines)
    if len(pairs) > top:
        rest = sum(value for _, value in pairs[top:])
        words = f"{len(pairs) - top} more columns contribute {rest:+.4f} together."
        console().print(indented(words), highlight=False)


def _value(value: Any) -> str:
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
