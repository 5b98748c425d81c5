"""`crosstower export`: export a trained ranker as ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import SERVE, Json, Model, RunArgument, Seed
from crosstower.errors import RunError

export_app = typer.Typer()


@export_app.command(
    rich_help_panel=SERVE,
    epilog="Example: crosstower export runs/ranking -o exported --user user_id --user history",
)
def export(
    run: RunArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder to create.")
    ],
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with one value per request, e.g. of the user; repeatable. Its lists are"
            " pooled once per call, and rows of several users are rejected.",
        ),
    ] = None,
    model: Model = None,
    seed: Seed = None,
    kind: Annotated[list[str] | None, typer.Option(hidden=True)] = None,  # for one release
    as_json: Json = False,
) -> None:
    """Export a ranker's model as ONNX.

    The export is compared with the model; inputs.json describes its inputs and outputs.
    """
    from crosstower.ranking.ranker import Ranker
    from crosstower.serving.export.exported import export_model
    from crosstower.training.run import Run

    if set(kind or ()) - {"onnx"}:
        raise RunError(
            f"--kind {' --kind '.join(kind or ())}: only ONNX can be exported; drop --kind"
        )
    opened = Run.open(run)
    if opened.recipe.retrieval is not None:
        raise RunError(f"{run}: a retrieval run; export needs a ranking run")
    ranker = Ranker.open(opened, model=model, seed=seed)
    written = export_model(ranker.scorer(), output, user=user or [])
    if as_json:
        facts = {
            "file": str(written.path),
            "bytes": written.bytes,
            "difference": written.difference,
            "seconds": round(written.seconds, 2),
        }
        typer.echo(json.dumps({"onnx": facts}, indent=1))
        return
    for line in (
        f"{written.path}: {written.bytes / 1e6:.2f} MB, written in {written.seconds:.1f} s",
        f"largest difference of a logit from the model's, on random rows: {written.difference:.0e}",
        f"{output}/inputs.json: names, types, shapes and order of inputs and outputs (logits)",
        f"{output}/encoder: from raw values to codes",
        "score with it: dataclasses.replace(scorer, model=open_exported(FOLDER, layout))",
    ):
        typer.echo(line)
