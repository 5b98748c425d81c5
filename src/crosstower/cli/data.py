"""`crosstower data`: list and download public datasets, generate synthetic ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import Json

data_app = typer.Typer(help="List, download and generate datasets.", no_args_is_help=True)


@data_app.command("list", epilog="Example: crosstower data list")
def data_list(as_json: Json = False) -> None:
    """List public datasets to download and synthetic ones (world:NAME) to generate."""
    from crosstower.cli.tables import print_table
    from crosstower.data.datasets import catalog, worlds

    sets = {n: catalog.describe(n).description for n in catalog.dataset_names()}
    sets |= {f"world:{n}": worlds.description(n) for n in worlds.world_names()}
    if as_json:
        typer.echo(json.dumps(sets, indent=1))
    else:
        print_table(None, ["Name", "Description"], [[n, words] for n, words in sets.items()])


@data_app.command("get", epilog="Example: crosstower data get world:app_installs --rows 1000000")
def data_get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name as shown by 'crosstower data list'.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the Parquet files.")
    ] = Path("data"),
    rows: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rows of a synthetic dataset.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of a synthetic dataset.")] = 0,
) -> None:
    """Download a public dataset, or generate a synthetic one, as Parquet files."""
    from crosstower.data.datasets.fetch import fetch

    for path in fetch(name, out, rows=rows, seed=seed):
        typer.echo(str(path))
