"""`crosstower recommend`: recommend items for one user, or for many."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crosstower.cli.options import RETRIEVE, Count, Json, Query, Seed, Where, parsed_query
from crosstower.errors import QueryError

if TYPE_CHECKING:
    from crosstower.serving.batch_jobs.run import JobSummary

recommend_app = typer.Typer()

Processes = Annotated[int, typer.Option(min=1, metavar="N", help="Batch: number of workers.")]
EngineOption = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Batch: processes of this machine, or the workers of a Ray cluster."),
]


@recommend_app.command(
    rich_help_panel=RETRIEVE,
    epilog='Examples: crosstower recommend runs/films --user 42 -k 5 --where "year >= 1990"   |  '
    " crosstower recommend runs/films --users all -k 50 -o lists --processes 2   |  "
    " crosstower recommend bundle --users users.parquet -k 20 -o lists",
)
def recommend(
    model: Annotated[str, typer.Argument(metavar="RUN", help="Retrieval run, or bundle.")],
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="User id; an unknown user has no history.")
    ] = None,
    users: Annotated[
        str | None,
        typer.Option(
            metavar="all|FILE",
            help="Batch: all users of the training rows, or a file of ids and query columns.",
        ),
    ] = None,
    k: Count = 10,
    where: Where = None,
    query: Query = None,
    seed: Seed = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Batch: folder of the Parquet files."
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Batch: number of items that the ranker scores (default: that of the bundle).",
        ),
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Batch: add the ranks and scores of the stages.")
    ] = False,
    partition_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="USERS",
            help="Batch: largest number of users per file (default: 50,000).",
        ),
    ] = None,
    processes: Processes = 1,
    engine: EngineOption = "local",
    force: Annotated[
        bool, typer.Option("--force", help="Batch: remove the output of another job first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recommend items for a user or a query, or with --users for many users.

    A user's history is excluded if the recipe says so. With --users, the lists of each partition of
    users are written to a Parquet file in FOLDER; run the command again after an interruption.
    """
    if users is None:
        _refuse_batch_options(
            output=output is not None,
            candidates=candidates is not None,
            stages=stages,
            partition_size=partition_size is not None,
            processes=processes != 1,
            engine=engine != "local",
            force=force,
        )
        _one(model, user, k=k, where=where, query=query, seed=seed, as_json=as_json)
        return
    if user is not None or query is not None:
        raise QueryError("--users: give no --user and no --query; a file can have query columns")
    if output is None:
        raise QueryError("--users: needs a folder for the lists; give one with -o FOLDER")
    from crosstower.cli.job_progress import job_progress
    from crosstower.serving.batch_jobs.recommend import PARTITION_USERS, recommend_users

    with job_progress("users") as on_progress:
        summary = recommend_users(
            model,
            output,
            users=users,
            k=k,
            where=where,
            candidates=candidates,
            stages=stages,
            seed=seed,
            partition_size=partition_size or PARTITION_USERS,
            processes=processes,
            engine=engine,
            force=force,
            on_progress=on_progress,
        )
    print_summary(summary, "users", "rows", as_json=as_json)


def print_summary(summary: JobSummary, read: str, written: str, *, as_json: bool) -> None:
    """Print the totals of a batch job.

    Args:
        summary: of the job.
        read: name of the rows read.
        written: name of the rows written.
        as_json: print JSON.

    """
    if as_json:
        typer.echo(json.dumps(summary.plain(), indent=1))
        return
    kept = f" ({summary.kept:,} kept from an earlier call)" if summary.kept else ""
    rate = f", {summary.rows_per_second:,.0f} {read}/s" if summary.kept < summary.partitions else ""
    typer.echo(
        f"{summary.output}: {summary.read:,} {read}, {summary.written:,} {written},"
        f" {summary.partitions:,} part{'s' * (summary.partitions != 1)}{kept}{rate}"
    )
    if notes := ", ".join(f"{name}: {count:,}" for name, count in summary.counts.items() if count):
        typer.echo(notes)


def _one(
    model: str,
    user: str | None,
    *,
    k: int,
    where: str | None,
    query: str | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Print one list."""
    from crosstower.cli.funnel import print_found
    from crosstower.cli.retrieval_tables import nothing_left, print_hits
    from crosstower.retrieval.retriever import Retriever
    from crosstower.serving.batch_jobs.models import is_bundle, refuse_seed
    from crosstower.serving.bundle.bundle import Bundle

    given: dict[str, Any] = {"k": k, "where": where, "query": parsed_query(query)}
    if is_bundle(model):
        bundle = Bundle.open(model)
        refuse_seed(model, seed)
        if bundle.ranking is not None:
            print_found(bundle.funnel().recommend(user, **given), as_json)
            return
        retriever = bundle.retriever()
    else:
        retriever = Retriever.open(model, seed=seed)
    found = retriever.recommend(user, **given)
    print_hits(found, as_json, nothing=nothing_left(retriever, user, where))


def _refuse_batch_options(**given: bool) -> None:
    if name := next((name for name, there in given.items() if there), None):
        option = name.replace("_", "-")
        raise QueryError(f"--{option}: for batch jobs only; add --users all or --users FILE")
