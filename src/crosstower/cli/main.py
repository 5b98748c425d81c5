"""The command line: builds the app from one file per command."""

from __future__ import annotations

import gc
import inspect
import re
import sys
import warnings
from typing import Annotated

import typer

from crosstower import __version__
from crosstower.cli.blend import blend_app
from crosstower.cli.bundle import bundle_app
from crosstower.cli.compare import compare_app
from crosstower.cli.data import data_app
from crosstower.cli.demo.command import demo_app
from crosstower.cli.doctor.command import doctor_app
from crosstower.cli.evaluate import evaluate_app
from crosstower.cli.events import events_app
from crosstower.cli.experiment import experiment_app
from crosstower.cli.explain import explain_app
from crosstower.cli.export import export_app
from crosstower.cli.features import features_app
from crosstower.cli.fit import fit_app
from crosstower.cli.funnel import funnel_app
from crosstower.cli.init.command import init_app
from crosstower.cli.off_policy import off_policy_app
from crosstower.cli.options import DATA, SERVE
from crosstower.cli.plan import plan_app
from crosstower.cli.play.command import play_app
from crosstower.cli.predict import predict_app
from crosstower.cli.prepare import prepare_app
from crosstower.cli.recommend import recommend_app
from crosstower.cli.retrain import retrain_app
from crosstower.cli.retrieval import retrieval_app
from crosstower.cli.rollback import rollback_app
from crosstower.cli.serve import serve_app
from crosstower.cli.tune import tune_app
from crosstower.cli.validate import validate_app
from crosstower.cli.vectors import vectors_app
from crosstower.cli.versions import versions_app
from crosstower.errors import CrosstowerError, CrosstowerWarning
from crosstower.fitting.worker import is_launched, worker_main

_EXIT_CODES = (
    "Exit codes: 0 success, 2 wrong recipe or option, 3 wrong data, 4 training failed,"
    " 5 run or bundle missing or unusable, 130 interrupted by Ctrl-C (resume with: crosstower fit"
    " --resume RUN)."
)
_INTERRUPTED = 130
_NEW_OBJECTS = 50_000  # between garbage collections; most come from imports, and stay
app = typer.Typer(
    name="crosstower",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _with_joined_lines(part: typer.Typer) -> typer.Typer:
    """Let the terminal, not the source, break the lines of help paragraphs."""
    for command in part.registered_commands:
        text = command.callback and inspect.getdoc(command.callback)
        command.help = text and re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    return part


app.add_typer(_with_joined_lines(data_app), name="data", rich_help_panel=DATA)
for part in (
    *(init_app, plan_app, prepare_app, fit_app, tune_app, evaluate_app, compare_app, demo_app),
    *(recommend_app, retrieval_app, features_app),
    *(predict_app, explain_app, blend_app, funnel_app, off_policy_app),
    *(bundle_app, serve_app, play_app, events_app, export_app),
    *(retrain_app, versions_app, rollback_app),
    *(validate_app, doctor_app),
):
    app.add_typer(_with_joined_lines(part))
app.add_typer(_with_joined_lines(experiment_app), name="experiment", rich_help_panel=SERVE)
app.add_typer(_with_joined_lines(vectors_app), name="vectors", rich_help_panel=SERVE)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crosstower {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[  # noqa: ARG001 - the callback prints it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Train, evaluate and serve recommenders: retrieve, rank and blend."""

    def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
        if issubclass(category, CrosstowerWarning):
            sys.stderr.write(f"note: {message}\n")
        else:
            usual(message, category, *rest)  # type: ignore[arg-type]

    usual = warnings.showwarning
    warnings.simplefilter("always", CrosstowerWarning)
    warnings.showwarning = show


def main() -> None:
    """Run the command line; a CrosstowerError becomes one message and an exit code."""
    gc.set_threshold(_NEW_OBJECTS)
    try:
        worker_main(app)
    except CrosstowerError as error:
        sys.stderr.write(f"crosstower: {error}\n")
        sys.exit(error.exit_code)
    except SystemExit as stop:
        if stop.code == _INTERRUPTED and not is_launched():
            sys.stderr.write("crosstower: stopped by Ctrl-C\n")
        raise
    finally:
        gc.freeze()  # the collection at exit would take a second
