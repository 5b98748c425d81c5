"""`crosstower demo`: train on synthetic datasets with known probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import TRAIN, Seeds

demo_app = typer.Typer()


@demo_app.command(rich_help_panel=TRAIN, epilog="Example: crosstower demo --rows 100000 --seeds 3")
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the runs.")] = Path(
        "runs"
    ),
    rows: Annotated[
        int, typer.Option(min=1000, metavar="N", help="Rows of the app-install dataset.")
    ] = 500_000,
    seeds: Seeds = 1,
) -> None:
    """Train on synthetic datasets and compare with the best possible scores."""
    from crosstower.cli.demo.funnels import demo_funnels
    from crosstower.cli.demo.runs import demo_runs
    from crosstower.cli.funnel import print_funnel
    from crosstower.cli.tables import print_any_run

    bundles: list[Path] = []
    for words, run in demo_runs(out, rows=rows, seeds=seeds):
        typer.echo(f"\n{words}")
        print_any_run(run)
    for shown in demo_funnels(out, rows=rows):
        typer.echo(f"\n{shown.words}")
        print_any_run(shown.ranking)
        print_funnel(shown.report)
        runs = f"{shown.retrieval.folder} {shown.ranking.folder}"
        typer.echo(f"try it: crosstower funnel {runs} --user 42 -k 5")
        bundles.append(shown.bundle.folder)
    typer.echo("\nWith your own rows: crosstower init ROWS.parquet && crosstower fit recipe.yaml")
    typer.echo(f"To explore {' or '.join(map(str, bundles))} in a browser:")
    typer.echo(f"crosstower serve {bundles[-1]}")
