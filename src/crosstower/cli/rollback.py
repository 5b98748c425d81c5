"""`crosstower rollback`: serve an earlier version again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import SERVE, StateOfBundle, state_of
from crosstower.values.addresses.address import place_of

rollback_app = typer.Typer()


@rollback_app.command(
    rich_help_panel=SERVE,
    epilog="Examples: crosstower rollback bundle   |   crosstower rollback bundle --to 0",
)
def rollback(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Bundle served first: a folder or an address.")
    ],
    state: StateOfBundle = None,
    to: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="NUMBER",
            help="Version to serve, 0 for BUNDLE itself (default: the previously live one).",
        ),
    ] = None,
) -> None:
    """Serve an earlier version again; a running server follows within a second or two."""
    from crosstower.serving.retraining.rollback import roll_back
    from crosstower.serving.state.state import State

    with State.open_existing(state_of(bundle, state)) as opened:
        line = roll_back(opened, bundle, to=to)
    typer.echo(f"version {line.number} is live: {place_of(line.path)}")
