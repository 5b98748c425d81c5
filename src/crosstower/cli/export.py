"""The command that writes a trained ranker for other runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import Json, RunArgument, Seed
from crosstower.errors import RunError

if TYPE_CHECKING:
    from crosstower.serving.export.forms import Written

export_app = typer.Typer()


@export_app.command(
    epilog="Examples: crosstower export runs/ranking -o exported   |  "
    " crosstower export runs/ranking -o exported --kind onnx --user user_id --user history"
)
def export(
    run: RunArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder that it makes.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(help="onnx, torch_export or aoti; may be repeated. The first two if unset."),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that has one value a request, such as those of the user; may be repeated."
            " Its list is pooled once a call, and rows of several users are refused."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="One of the run's models.")] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Write a ranker as ONNX, a torch.export program, or compiled code (aoti).

    Each is compared with the model itself; inputs.json says what goes in and comes out.
    """
    from crosstower.ranking.ranker import Ranker
    from crosstower.serving.export.forms import export_model
    from crosstower.training.run import Run

    opened = Run.open(run)
    if opened.recipe.retrieval is not None:
        raise RunError(f"{run}: a run that retrieves; give one that ranks")
    written = export_model(
        Ranker.open(opened, model=model, seed=seed).scorer(),
        output,
        list(dict.fromkeys(kind or ("onnx", "torch_export"))),
        user=user or [],
    )
    if as_json:
        typer.echo(json.dumps({form.kind: _plain(form) for form in written}, indent=1))
    else:
        _print_written(written, output)


def _plain(form: Written) -> dict[str, str | int | float]:
    return {
        "file": str(form.path),
        "bytes": form.bytes,
        "difference": form.difference,
        "seconds": round(form.seconds, 2),
    }


def _print_written(written: list[Written], output: Path) -> None:
    from crosstower.cli.tables import console, print_table

    rows = [
        [w.kind, w.path.name, f"{w.bytes / 1e6:.2f}", f"{w.difference:.0e}", f"{w.seconds:.1f}"]
        for w in written
    ]
    title = "Largest difference of a logit from the model's, over rows drawn in code space"
    print_table(title, ["", "File", "MB", "Difference", "Seconds"], rows)
    out = console()
    for sentence in (
        f"{output}/inputs.json: names, types, shapes and order of inputs and outputs (logits)",
        f"{output}/encoder: from raw values to codes",
        "score with it: dataclasses.replace(scorer, model=open_exported(FOLDER, KIND, layout))",
    ):
        out.print(sentence, highlight=False, soft_wrap=True)
    if any(form.kind == "aoti" for form in written):
        out.print("aoti is native code for this processor and this torch: open only your own")
