"""`crosstower demo`: train on synthetic datasets with known probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import TRAIN
from crosstower.errors import QueryError, RunError
from crosstower.storage.files import refuse_unwritable

demo_app = typer.Typer()
_ROWS, _FULL_ROWS, _PORT = 80_000, 500_000, 8000


@demo_app.command(
    rich_help_panel=TRAIN,
    epilog="Examples: crosstower demo   |   crosstower demo --no-serve   |  "
    " crosstower demo --full --rows 100000 --seeds 3",
)
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the runs.")] = Path(
        "runs"
    ),
    rows: Annotated[
        int | None,
        typer.Option(
            min=1000,
            metavar="N",
            help=f"Impressions of the homes (default: {_ROWS:,}); with --full, rows of the"
            f" app-install dataset (default: {_FULL_ROWS:,}).",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Seed of rows and training runs (default: 0)."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, metavar="N", help=f"Port of the page (default: {_PORT})."),
    ] = None,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="End after training, without a server.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Tour of six runs and two more funnels, including negative results."
        ),
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --full: training runs per model, for mean ± sd (default: 1).",
        ),
    ] = None,
) -> None:
    """Train a recommender on synthetic holiday homes with known values, and serve its page.

    The lists of each stage are compared by their true value. The page opens in a browser if there
    is one; Ctrl-C stops the server.
    """
    if full:
        _refuse("--full", {"--seed": seed, "--port": port, "--no-serve": no_serve or None})
        from crosstower.cli.demo.full_tour import full_tour

        refuse_unwritable(out / "run", error=RunError)
        full_tour(out, rows=rows or _FULL_ROWS, seeds=seeds or 1)
        return
    if seeds is not None:
        raise QueryError("--seeds: only with --full; add it, or choose one seed with --seed N")
    if no_serve:
        _refuse("--no-serve", {"--port": port})
    _homes(out, rows or _ROWS, seed or 0, None if no_serve else port or _PORT)


def _homes(out: Path, rows: int, seed: int, port: int | None) -> None:
    """Run the short demo, and serve its bundle if there is a port."""
    from crosstower.cli.demo.browser import check_can_serve, serve_page
    from crosstower.cli.demo.homes_demo import homes_demo

    refuse_unwritable(out / "run", error=RunError)
    if port is not None:
        check_can_serve(port)
    bundle = homes_demo(out, rows=rows, seed=seed)
    typer.echo("\nThe full tour, including negative results: crosstower demo --full")
    typer.echo("With your own rows: crosstower init ROWS.parquet && crosstower fit recipe.yaml")
    typer.echo("A shop page with text search and a map: crosstower play")
    typer.echo(f"To open this funnel in a browser later: crosstower serve {bundle}\n")
    if port is not None:
        serve_page(bundle, port)


def _refuse(name: str, given: dict[str, object]) -> None:
    """Reject options that an option does not go with."""
    for other, value in given.items():
        if value is not None:
            raise QueryError(f"{other}: not with {name}; drop one of them")
