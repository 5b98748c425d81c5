"""`crosstower features`: add retrieval scores and sources to ranking rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import RETRIEVE, Force, Json, RunArgument
from crosstower.errors import DataError

features_app = typer.Typer()


@features_app.command(
    rich_help_panel=RETRIEVE,
    epilog="Example: crosstower features runs/retrieval clicks.parquet -o ranking.parquet",
)
def features(
    run: RunArgument,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Rows of a ranker: file, folder or glob.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet file to write.")
    ] = Path("features.parquet"),
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Add retrieval scores and sources to the rows of a ranker.

    Only rows later than the retriever's last training row are written: the score of a row that the
    retriever was trained on would leak its label.
    """
    from crosstower.cli.job_progress import job_progress
    from crosstower.funnel.features import retrieval_features
    from crosstower.storage.files import refuse_parquet_output, write_parquet

    refuse_parquet_output(output, force=force, error=DataError)
    with job_progress("rows") as on_progress:
        found = retrieval_features(run, data, on_progress=on_progress)
    write_parquet(found.frame, output)
    counts = {"rows": found.frame.height, "trained": found.trained, "untimed": found.untimed}
    if as_json:
        typer.echo(json.dumps({"output": str(output), **counts}, indent=1))
        return
    left = f"; {found.untimed:,} without a time" if found.untimed else ""
    typer.echo(
        f"{output}: {found.frame.height:,} rows; left out: {found.trained:,} rows not later than"
        f" the retriever's last training row{left}"
    )
