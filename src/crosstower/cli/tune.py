"""`crosstower tune`: search a recipe's options by validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import TRAIN, Json, Overrides

if TYPE_CHECKING:
    from crosstower.fitting.tuning.result import TuneResult

tune_app = typer.Typer()


@tune_app.command(
    rich_help_panel=TRAIN,
    epilog="Examples: crosstower tune recipe.yaml --trials 40 --jobs 2 --seeds 5   |   crosstower"
    " tune recipe.yaml --show-space >> recipe.yaml   |   crosstower fit"
    " runs/recipe-tune/tuned.yaml",
)
def tune(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file.")],
    override: Overrides = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of trials (default: tune.trials, or 40)."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Trials that run in parallel, one process each."),
    ] = 1,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Training runs of the winner, for mean ± sd (default: 1)."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder (default: runs/NAME-tune).")
    ] = None,
    show_space: Annotated[
        bool, typer.Option("--show-space", help="Print the search space as a tune section.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search the options of a recipe by validation, then train and test the best one once.

    The same command continues a stopped run. The options come from the recipe's section tune;
    without it, each model has a default space, which --show-space prints.
    """
    if show_space:
        typer.echo(_space_text(recipe, override or []), nl=False)
        return
    from crosstower.fitting.tuning.tune import tune as search

    result = search(
        recipe, overrides=override or [], trials=trials, jobs=jobs, seeds=seeds, out=out
    )
    if as_json:
        typer.echo(json.dumps(_plain(result), indent=1))
        return
    _print(result)


def _space_text(recipe: Path, overrides: list[str]) -> str:
    import yaml

    from crosstower.fitting.tuning.tune import space_of
    from crosstower.recipe.loading import as_recipe

    space = space_of(as_recipe(recipe, overrides))
    plain = {
        key: list(dimension.choices)
        if dimension.choices
        else dimension.model_dump(mode="json", exclude_defaults=True)
        for key, dimension in space.items()
    }
    separate = json.loads(json.dumps(plain))  # YAML writes a list that occurs twice as an alias
    return yaml.safe_dump({"tune": {"space": separate}}, sort_keys=False, default_flow_style=None)


def _plain(result: TuneResult) -> dict[str, object]:
    from crosstower.fitting.tuning.space import plain_of

    return {
        "folder": str(result.folder),
        "monitor": result.monitor,
        "best": result.best,
        "value": result.value,
        "importance": result.importance,
        "recipe": plain_of(result.recipe),
        "trials": result.trials.to_dicts(),
        "winner": result.run.metrics,
    }


def _print(result: TuneResult) -> None:
    from crosstower.cli.tables import console, indented, print_any_run, print_table
    from crosstower.fitting.tuning.page import cell, sentences_of

    best = result.trials.filter(result.trials["trial"] == result.best).row(0, named=True)
    keys = sorted(
        (key for key in result.trials.columns if "." in key),
        key=lambda key: -result.importance.get(key, 0.0),
    )
    shares = [
        f"{100 * result.importance[key]:.1f} %" if key in result.importance else "–" for key in keys
    ]
    rows = [[key, cell(best[key]), share] for key, share in zip(keys, shares, strict=True)]
    print_any_run(result.run)
    print_table(f"Trial {result.best}, the best", ["Option", "Value", "Importance"], rows)
    out = console()
    for sentence in sentences_of(result):
        out.print(indented(sentence), highlight=False)
    out.print(f"recipe: {result.tuned}", highlight=False, soft_wrap=True)
    out.print(f"page: {result.page}", highlight=False, soft_wrap=True)
