"""`crosstower demo --full`: all runs and funnels of the tour, one after the other."""

from __future__ import annotations

from pathlib import Path

import typer

from crosstower.cli.demo.funnels import demo_funnels
from crosstower.cli.demo.runs import demo_runs
from crosstower.cli.funnel import print_funnel
from crosstower.cli.tables import print_any_run


def full_tour(out: Path, *, rows: int, seeds: int) -> None:
    """Train, print every run and every funnel, and the commands that explore them."""
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
