"""`crosstower vectors`: write vectors, and publish changed ones without a new bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import Force, Json, RunArgument, checked_state
from crosstower.errors import DataError, QueryError

vectors_app = typer.Typer(
    help="Write the vectors of a run, and publish changed ones without a new bundle.",
    no_args_is_help=True,
)


@vectors_app.command(
    "export",
    epilog="Examples: crosstower vectors export runs/films -o items.parquet   |  "
    " crosstower vectors export runs/films --users -o users.parquet   |  "
    " crosstower vectors export runs/new --since bundle -o vectors.parquet",
)
def export(
    run: RunArgument,
    since: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE", help="Write only vectors that differ from this bundle."),
    ] = None,
    users: Annotated[
        bool, typer.Option("--users", help="Write user vectors instead of item vectors.")
    ] = False,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS",
            help="Rows with the columns of the tower, or the ids of a retriever's users"
            " (default: those of the run).",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet file.")
    ] = Path("vectors.parquet"),
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write the vectors of a run as a Parquet file.

    With --since, only the item vectors that differ from those of a bundle, or are not in it, are
    written. The query tower of the run must be that of the bundle, as after a fit with --from and
    training.freeze=query_tower.
    """
    from dataclasses import asdict

    from crosstower.serving.vectors.export import export_vectors
    from crosstower.storage.files import refuse_parquet_output

    refuse_parquet_output(output, force=force, error=DataError)
    if since is None:
        _write_all(run, output, users=users, rows=rows, as_json=as_json)
        return
    if users or rows is not None:
        raise QueryError("--since: compares item vectors of a catalogue; drop --users and --rows")
    found = export_vectors(run, since, output)
    if as_json:
        typer.echo(json.dumps({"output": str(output), **asdict(found)}, indent=1))
    else:
        typer.echo(
            f"{output}: {found.changed:,} changed vectors, and {found.new:,} of items that are not"
            f" in the bundle; {found.unchanged:,} are unchanged"
        )


def _write_all(run: Path, output: Path, *, users: bool, rows: str | None, as_json: bool) -> None:
    from crosstower.storage.files import write_parquet
    from crosstower.training.run import Run

    opened = Run.open(run)
    found = opened.user_vectors(rows) if users else opened.item_vectors(rows)
    write_parquet(found, output)
    width = found["vector"].to_numpy().shape[1]
    if as_json:
        counts = {"output": str(output), "vectors": found.height, "width": width}
        typer.echo(json.dumps(counts, indent=1))
    else:
        what = "users" if users else "items"
        typer.echo(f"{output}: vectors of {found.height:,} {what}, {width} numbers each")


@vectors_app.command(
    "push",
    epilog="Examples: crosstower vectors push vectors.parquet --server http://127.0.0.1:8000   |  "
    " crosstower vectors push vectors.parquet --state bundle.state",
)
def push(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet file of vectors.")],
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the server.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            callback=checked_state,
            help="State of the server: a folder, or postgresql://USER@HOST/DATABASE.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="SHA256", help="Retrieval weights that the vectors belong to (default: FILE's)."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send item vectors to a server, or write them into its state.

    A token for --server comes from CROSSTOWER_WRITE_TOKEN.
    """
    from crosstower.serving.vectors.push import push_to_server, push_to_state
    from crosstower.serving.vectors.vector_file import read_vectors

    if (server is None) == (state is None):
        raise QueryError("give either --server URL or --state STATE")
    found, unknown = read_vectors(file, weights=weights), None
    if server is not None:
        stored, unknown = push_to_server(found, server)
    else:
        stored = push_to_state(found, state or "")
    if as_json:
        typer.echo(json.dumps({"vectors": stored, "unknown": unknown}, indent=1))
    else:
        left = f"; {unknown:,} have no item and were left out" if unknown else ""
        if unknown is None:
            left = "; the server ignores those without an item"
        typer.echo(f"{stored:,} vectors stored{left}")
