"""The command line: thin, made for people; `--json` for machines."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crosstower.cli.ask import ask_app
from crosstower.cli.blend import blend_app
from crosstower.cli.events import events_app
from crosstower.cli.export import export_app
from crosstower.cli.funnel import funnel_app
from crosstower.cli.off_policy import policy_app
from crosstower.cli.options import Json, Overrides, RunArgument, Seeds
from crosstower.cli.serve import serve_app
from crosstower.errors import CrosstowerError, CrosstowerWarning

if TYPE_CHECKING:
    from crosstower.training.run import Run

_EXIT_CODES = (
    "Exit codes: 0 done, 2 wrong recipe or option, 3 wrong data, 4 training failed,"
    " 5 no such run, 130 stopped by Ctrl-C (resume with: crosstower fit --resume RUN)."
)
_INTERRUPTED = 130
app = typer.Typer(
    name="crosstower",
    help="Recommender funnels: from raw rows to trained, honestly evaluated models.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Public data sets and simulated worlds.", no_args_is_help=True)
app.add_typer(ask_app)
app.add_typer(blend_app)
app.add_typer(funnel_app)
app.add_typer(export_app)
app.add_typer(policy_app)
app.add_typer(serve_app)
app.add_typer(events_app)
app.add_typer(data_app, name="data")


@app.callback()
def _show_warnings() -> None:
    """Recommender funnels: from raw rows to trained, honestly evaluated models."""

    def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
        if issubclass(category, CrosstowerWarning):
            sys.stderr.write(f"note: {message}\n")
        else:
            usual(message, category, *rest)  # type: ignore[arg-type]

    usual = warnings.showwarning
    warnings.simplefilter("always", CrosstowerWarning)
    warnings.showwarning = show


@app.command(
    epilog="Examples: crosstower init impressions.parquet --task click -o clicks.yaml   |  "
    " crosstower init watched.parquet --item video_id --user user_id"
)
def init(
    data: Annotated[str, typer.Argument(help="File, folder, glob or world:NAME.")],
    task: Annotated[list[str] | None, typer.Option(help="Label column; may be repeated.")] = None,
    item: Annotated[str | None, typer.Option(help="Retrieve: column of the item's id.")] = None,
    user: Annotated[str | None, typer.Option(help="Retrieve: column of the user's id.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("recipe.yaml"),
    delimiter: Annotated[str | None, typer.Option(help="CSV: character between cells.")] = None,
    encoding: Annotated[str | None, typer.Option(help="CSV: such as latin-1.")] = None,
    null_value: Annotated[
        list[str] | None, typer.Option(help="CSV: cell of a missing value; may be repeated.")
    ] = None,
) -> None:
    """Look at the first rows and write a commented recipe to start from."""
    from crosstower.cli.init.checks import CHECK
    from crosstower.cli.init.ranking import editor_schema, starter_recipe
    from crosstower.cli.init.retrieval import starter_retrieval_recipe
    from crosstower.data.reading import source_of
    from crosstower.errors import RecipeError, RunError
    from crosstower.recipe.csv import Csv
    from crosstower.recipe.recipe import Data
    from crosstower.storage.files import write_atomic

    if (user is not None and item is None) or (item is not None and task):
        raise RecipeError("--item makes a retrieval recipe: --user goes with it, --task does not")
    if output.exists():
        raise RunError(f"{output}: already exists; choose another name with -o")
    path = data if data.startswith("world:") else str(Path(data).absolute())
    nulls = tuple(null_value or ())
    dialect = Csv(delimiter=delimiter, encoding=encoding, null_values=nulls)
    source = source_of(Data(path=data, csv=dialect))
    if item is None:
        text = starter_recipe(source, path=path, name=output.stem, tasks=task or [])
    else:
        text = starter_retrieval_recipe(source, path=path, name=output.stem, item=item, user=user)
    if dialect != Csv():
        section = json.dumps(dialect.model_dump(mode="json", exclude_defaults=True))
        text = text.replace("\ndata:\n", f"\ndata:\n  csv: {section}\n", 1)
    schema = output.with_name(f"{output.stem}.schema.json")
    write_atomic(schema, json.dumps(editor_schema(), indent=1).encode())
    write_atomic(output, f"# yaml-language-server: $schema={schema.name}\n{text}".encode())
    for line in text.splitlines():
        if line.startswith(CHECK):
            typer.echo(line.removeprefix("# "), err=True)
    typer.echo(f"{output}: read it, correct what was guessed wrong, then: crosstower fit {output}")


@app.command(
    epilog="Examples: crosstower fit recipe.yaml -o training.epochs=3 --seeds 5   |  "
    " crosstower fit --resume runs/recipe   |   crosstower fit --resume runs/recipe --finish"
)
def fit(
    recipe: Annotated[Path, typer.Argument(help="Recipe; with --resume a run folder will do.")],
    override: Overrides = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each model (for mean ± sd); 1 if unset.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME if unset.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run; -o training.epochs=N may change."),
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="With --resume: end now, with the best weights.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train the model and its baselines, test them once, write a report."""
    from crosstower.cli.retrieval import print_any_run
    from crosstower.fitting.fit import fit as train

    run = train(
        recipe, overrides=override or [], seeds=seeds, out=out, resume=resume, finish=finish
    )
    if as_json:
        typer.echo(json.dumps(run.metrics, indent=1))
    else:
        print_any_run(run)


@app.command(epilog="Example: crosstower evaluate runs/adult --data new_rows.parquet")
def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Option(help="Other rows with labels; the stored test rows if unset.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the report goes.")] = None,
    as_json: Json = False,
) -> None:
    """Metrics, slices and a report, of the test rows or of other rows."""
    from crosstower.cli.tables import print_reports
    from crosstower.ranking import results
    from crosstower.training.run import Run

    opened = Run.open(run)
    if opened.recipe.retrieval is not None:
        _evaluate_retrieval(opened, data, out, as_json)
        return
    if data is None:
        reports, page = results.write_results(opened), opened.report
        if out is not None:
            page = results.write_report_of(opened, reports, out)
    else:
        reports, page = results.evaluate_on(opened, data, out)
    if as_json:
        typer.echo(json.dumps(results.metrics_of(reports), indent=1))
    else:
        print_reports(reports)
        typer.echo(f"report: {page}")


@app.command(epilog="Example: crosstower predict runs/adult new_rows.parquet -o scores.parquet")
def predict(
    run: RunArgument,
    data: Annotated[str, typer.Argument(help="Raw rows: file, folder or glob; no labels needed.")],
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("predictions.parquet"),
    column: Annotated[
        list[str] | None, typer.Option(help="Column to keep; may be repeated. All if unset.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="One of the run's models.")] = None,
    seed: Annotated[int | None, typer.Option(help="One of the run's seeds.")] = None,
    no_blend: Annotated[
        bool, typer.Option("--no-blend", help="Leave out the score of the blend and its columns.")
    ] = False,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="bfloat16 is faster where the processor has it; scores move by 0.001."),
    ] = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace the output file.")] = False,
) -> None:
    """Score a file of raw rows to Parquet."""
    from crosstower.ranking.predict import predict_file
    from crosstower.training.run import Run

    rows = predict_file(
        Run.open(run),
        data,
        output,
        columns=column,
        model=model,
        seed=seed,
        blend=not no_blend,
        precision=precision,
        force=force,
    )
    typer.echo(f"{output}: {rows:,} rows")


@app.command(epilog="Example: crosstower demo --rows 100000 --seeds 3")
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    rows: Annotated[int, typer.Option(min=1000, help="Rows of the app-install world.")] = 500_000,
    seeds: Seeds = 1,
) -> None:
    """Simulate worlds whose truth is known, train on them, and show how near the models come."""
    from crosstower.cli.demo.funnels import demo_funnels
    from crosstower.cli.demo.runs import demo_runs
    from crosstower.cli.funnel import print_funnel
    from crosstower.cli.retrieval import print_any_run

    bundles: list[Path] = []
    for words, run in demo_runs(out, rows=rows, seeds=seeds):
        typer.echo(f"\n{words}")
        print_any_run(run)
    for shown in demo_funnels(out, rows=rows):
        typer.echo(f"\n{shown.words}")
        print_any_run(shown.ranking)
        print_funnel(shown.report)
        runs = f"{shown.retrieval.folder} {shown.ranking.folder}"
        typer.echo(f"ask it: crosstower funnel {runs} --user 42 -k 5")
        bundles.append(shown.bundle.folder)
    typer.echo("\nNow your own rows: crosstower init YOUR.parquet, then crosstower fit recipe.yaml")
    typer.echo(f"Look at {' or '.join(map(str, bundles))} in a browser:")
    typer.echo(f"crosstower serve {bundles[-1]}")


@data_app.command("list", epilog="Example: crosstower data list")
def data_list(as_json: Json = False) -> None:
    """List public data sets to download and worlds to simulate."""
    from crosstower.cli.tables import print_table
    from crosstower.data.datasets import catalog, worlds

    sets = {n: catalog.describe(n).description for n in catalog.dataset_names()}
    sets |= {f"world:{n}": worlds.description(n) for n in worlds.world_names()}
    if as_json:
        typer.echo(json.dumps(sets, indent=1))
    else:
        print_table(None, ["Name", "What it is"], [[n, words] for n, words in sets.items()])


@data_app.command("get", epilog="Example: crosstower data get world:app_installs --rows 1000000")
def data_get(
    name: Annotated[str, typer.Argument(help="A name of 'crosstower data list'.")],
    out: Annotated[Path, typer.Option(help="Folder that gets the Parquet files.")] = Path("data"),
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of a world.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of a world.")] = 0,
) -> None:
    """Download a public data set, or simulate a world, as Parquet files."""
    from crosstower.data.datasets.fetch import fetch

    for path in fetch(name, out, rows=rows, seed=seed):
        typer.echo(str(path))


def _evaluate_retrieval(run: Run, data: str | None, out: Path | None, as_json: bool) -> None:
    from crosstower.cli.retrieval import print_retrieval
    from crosstower.retrieval import results
    from crosstower.retrieval.evaluate import evaluate_retrieval_on

    if data is None:
        report, page = results.write_retrieval_results(run), run.report
        if out is not None:
            page = results.write_retrieval_report(run, report, out)
    else:
        report, page = evaluate_retrieval_on(run, data, out)
    if as_json:
        typer.echo(json.dumps(results.metrics_of(report), indent=1))
    else:
        print_retrieval(report)
        typer.echo(f"report: {page}")


def main() -> None:
    """Run the command line; an error of ours is one message and an exit code."""
    try:
        app(standalone_mode=True)
    except CrosstowerError as error:
        sys.stderr.write(f"crosstower: {error}\n")
        sys.exit(error.exit_code)
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            sys.stderr.write("crosstower: stopped by Ctrl-C\n")
        raise
