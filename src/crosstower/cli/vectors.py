"""`crosstower vectors`: publish changed item vectors without a new bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import Force, Json, RunArgument, checked_state
from crosstower.errors import DataError, QueryError

vectors_app = typer.Typer(
    help="Publish changed item vectors without a new bundle.", no_args_is_help=True
)


@vectors_app.command(
    "export", epilog="Example: crosstower vectors export runs/new --since bundle -o vectors.parquet"
)
def export(
    run: RunArgument,
    since: Annotated[Path, typer.Option(metavar="BUNDLE", help="Bundle that the server serves.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet file.")
    ] = Path("vectors.parquet"),
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write the item vectors of a run that differ from those of a bundle, or are not in it.

    The query tower of the run must be that of the bundle, as after a fit with --from and
    training.freeze=query_tower.
    """
    from dataclasses import asdict

    from crosstower.serving.vectors.export import export_vectors

    if output.exists() and not force:
        raise DataError(f"{output}: already exists; choose another with -o, or give --force")
    found = export_vectors(run, since, output)
    if as_json:
        typer.echo(json.dumps({"output": str(output), **asdict(found)}, indent=1))
    else:
        typer.echo(
            f"{output}: {found.changed:,} changed vectors, and {found.new:,} of items that are not"
            f" in the bundle; {found.unchanged:,} are unchanged"
        )


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
