"""`crosstower funnel`: evaluate a retriever and a ranker together, or query them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstower.cli.options import RANK, Candidates, Count, Json, Query, Seed, Where, parsed_query
from crosstower.errors import QueryError

if TYPE_CHECKING:
    import polars as pl

    from crosstower.funnel.funnel import Funnel
    from crosstower.funnel.report import FunnelReport

funnel_app = typer.Typer()

_SHOWN = 2  # attributes of an item


@funnel_app.command(
    rich_help_panel=RANK,
    epilog="Examples: crosstower funnel runs/retrieval runs/ranking --candidates 100   |  "
    ' crosstower funnel runs/retrieval runs/ranking --user 42 -k 5 --where "price < 120"',
)
def funnel(
    retrieval: Annotated[Path, typer.Argument(metavar="RETRIEVAL", help="Retrieval run.")],
    ranking: Annotated[
        Path, typer.Argument(metavar="RANKING", help="Ranking run, with its blend if any.")
    ],
    candidates: Candidates = None,
    k: Count = 10,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Evaluate on other rows (default: the test rows)."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Evaluate: additional query column of the rows; repeatable."
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="Recommend to the user with this id.")
    ] = None,
    query: Query = None,
    where: Where = None,
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rules of the lists (default: those of the recipe)."),
    ] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Evaluate a funnel stage by stage, or recommend with --user or --query.

    The evaluation runs the test queries of RETRIEVAL and writes RANKING/funnel.json.
    """
    from crosstower.cli.tables import console
    from crosstower.funnel.funnel import Funnel
    from crosstower.recipe.rules import load_rules

    asks = user is not None or query is not None
    _check_options(asks, where=where, data=data, column=column)
    given = None if rules is None else load_rules(rules)
    opened = Funnel.open(retrieval, ranking, candidates=candidates, seed=seed, rules=given)
    if asks:
        found = opened.recommend(user, k=k, query=parsed_query(query), where=where)
        print_found(found, as_json)
        return
    report = _evaluated(opened, k=k, data=data, column=column or [])
    if as_json:
        typer.echo(json.dumps(report.plain(), indent=1))
    else:
        print_funnel(report)
        following = f"next: crosstower bundle {report.retrieval} {report.ranking} -o bundle"
        console().print(following, highlight=False, soft_wrap=True)


def print_funnel(report: FunnelReport) -> None:
    """Print the metrics per stage, the relevant items lost per stage, and the verdicts."""
    from crosstower.cli.tables import console, print_table
    from crosstower.evaluation.metrics.registry import names_of, title_of
    from crosstower.funnel.report import TRUE_VALUE

    k = report.k
    title = (
        f"{report.queries:,} queries, {report.candidates:,} candidates of"
        f" {report.items:,} items (± half of the 95 % confidence interval)"
    )
    names = list(names_of("list", shown="funnel"))
    if any(f"{TRUE_VALUE}@{k}" in stage.metrics for stage in report.stages):
        names = [*(n for n in names if n != "hit_rate"), TRUE_VALUE]  # of a synthetic dataset
    rows = [
        [stage.name, *(_estimate(stage.metrics.get(f"{name}@{k}")) for name in names)]
        for stage in report.stages
    ]
    titles = [f"True value@{k}" if n == TRUE_VALUE else title_of(f"{n}@{k}") for n in names]
    print_table(title, ["", *titles], rows)
    steps = [
        [
            step.name,
            f"{step.lost:,}",
            f"{step.gained:,}",
            f"{step.left:,}",
            f"{100 * step.left / report.relevant:.1f} %",
        ]
        for step in report.steps
    ]
    title = f"{report.relevant:,} relevant items: lost and gained per stage"
    print_table(title, ["", "Lost", "Gained", "Left", "Share left"], steps)
    if report.sources:
        print_table("Relevant items per source of candidates", *_sources(report))
    out = console()
    for sentence in (*report.verdicts, *(f"Note: {note}." for note in report.notes)):
        out.print(sentence, highlight=False)
    out.print(f"{report.ranking}/funnel.json", highlight=False, soft_wrap=True)


def _sources(report: FunnelReport) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the rows of the table of sources."""
    share = 100 / report.relevant
    rows = [
        [s.name, f"{s.quota:,}", f"{s.found:,}", f"{share * s.found:.1f} %", f"{s.alone:,}"]
        for s in report.sources
    ]
    return ["", "Quota", "Found", "Share", "By no other"], rows


def _check_options(asks: bool, *, where: str | None, data: str | None, column: Any) -> None:
    """Reject options that do not apply."""
    if not asks and where is not None:
        raise QueryError("--where: needs --user ID or --query JSON; drop it to evaluate")
    for name, value in (("--data", data), ("--column", column)):
        if asks and value:
            raise QueryError(f"{name}: for evaluation only; drop it, or drop --user and --query")


def _evaluated(opened: Funnel, *, k: int, data: str | None, column: list[str]) -> FunnelReport:
    """Evaluate, show progress and write funnel.json."""
    from rich.console import Console

    from crosstower.data.progress import progress_on
    from crosstower.funnel.evaluation import evaluate_funnel, write_funnel

    with Console(stderr=True).status("reading") as status:
        shown = progress_on(status)
        report = evaluate_funnel(opened, k=k, data=data, columns=column, on_progress=shown)
    write_funnel(opened, report)
    return report


def print_found(found: pl.DataFrame, as_json: bool) -> None:
    """Print a list of items with their first attributes, or with all of them as JSON."""
    from crosstower.cli.retrieval_tables import cell_of
    from crosstower.cli.tables import print_table

    if as_json:
        typer.echo(json.dumps(found.to_dicts(), indent=1, default=str))
        return
    if not found.height:
        typer.echo("no item matches")
        return
    scores = [name for name in found.columns if name.endswith("__prediction")]
    sources = ["sources"] if "sources" in found.columns else []
    fixed = ["rank", "item_id", "score", "retrieval_rank", *sources, *scores]
    others = ("retrieval_score", "blend__score", *fixed)
    attributes = [name for name in found.columns if name not in others]
    names = [*fixed, *attributes[:_SHOWN]]
    titles = ["", "Item", "Score", "Retrieved", *(["Sources"] if sources else [])]
    titles += [name.removesuffix("__prediction") for name in scores]
    rows = [[cell_of(value) for value in row] for row in found.select(names).iter_rows()]
    print_table(None, [*titles, *attributes[:_SHOWN]], rows)


def _estimate(estimate: Any) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.mean:.4f} ±{(estimate.high - estimate.low) / 2:.4f}"
