"""`crosstower fit`: train the models of a recipe, or resume a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import TRAIN, Json, Overrides
from crosstower.fitting.worker import is_worker, rank

fit_app = typer.Typer()


@fit_app.command(
    rich_help_panel=TRAIN,
    epilog="Examples: crosstower fit recipe.yaml -o training.epochs=3 --seeds 5   |  "
    " crosstower fit --resume runs/recipe   |   crosstower fit recipe.yaml --from runs/yesterday"
    "   |   crosstower fit recipe.yaml --processes 2 --max-restarts 3"
    "   |   crosstower fit recipe.yaml --track mlflow --track tensorboard"
    "   |   crosstower fit s3://shop/recipe.yaml --out s3://shop/runs/first",
)
def fit(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="Recipe; with --resume also a run folder.")
    ],
    override: Overrides = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Training runs per model, for mean ± sd (default: 1)."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run folder or address (default: runs/NAME).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in the run folder.")
    ] = False,
    warm_start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Warm start from the weights of an earlier run, with newer rows.",
        ),
    ] = None,
    prepared: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Encoded rows of this recipe, written by crosstower prepare."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run, also with more epochs (-o).")
    ] = False,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="With --resume: stop training and use the best weights."),
    ] = False,
    processes: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Processes of this machine that train together."),
    ] = 1,
    max_restarts: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Restarts from the last checkpoint if one of several processes ends unexpectedly.",
        ),
    ] = 0,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Tracker: mlflow, tensorboard or wandb (offline); repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the model and its baselines, test them once and write a report."""
    if processes > 1 and not is_worker():
        if not resume:
            from crosstower.recipe.loading import load_recipe

            load_recipe(recipe, override)  # so that a wrong one starts no process
        from crosstower.cli.launch import launch

        launch(sys.argv[1:], processes=processes, max_restarts=max_restarts)
        return
    from crosstower.fitting.fit import fit as train

    run = train(
        recipe,
        overrides=[*(override or []), *_trackers(track)],
        seeds=seeds,
        out=out,
        overwrite=overwrite,
        warm_start=warm_start,
        prepared=prepared,
        resume=resume,
        finish=finish,
    )
    if rank() > 0:
        return
    if as_json:
        typer.echo(json.dumps(run.metrics, indent=1))
        return
    from crosstower.cli.tables import print_any_run

    print_any_run(run)


def _trackers(names: list[str] | None) -> list[str]:
    """Return the override that names trackers, none without any."""
    return [f"training.trackers={json.dumps(names)}"] if names else []
