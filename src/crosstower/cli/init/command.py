"""`crosstower init`: infer a recipe from the first rows of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import DATA

init_app = typer.Typer()


@init_app.command(
    rich_help_panel=DATA,
    epilog="Examples: crosstower init impressions.parquet --task click -o clicks.yaml   |  "
    " crosstower init watched.parquet --item video_id --user user_id",
)
def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="File, folder, glob or world:NAME.")],
    task: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Label column; repeatable.")
    ] = None,
    item: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Item id column; makes a retrieval recipe.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="User id column; needs --item.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Time column that orders the rows (default: inferred)."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="RECIPE", help="Recipe to write.")
    ] = Path("recipe.yaml"),
    delimiter: Annotated[
        str | None, typer.Option(metavar="CHARACTER", help="CSV: delimiter.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="CSV: encoding, e.g. latin-1.")
    ] = None,
    null_value: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="CSV: cell that means missing; repeatable."),
    ] = None,
) -> None:
    """Infer a commented recipe from the first rows of a file."""
    from crosstower.cli.init.checks import CHECK
    from crosstower.cli.init.ranking import editor_schema, starter_recipe
    from crosstower.cli.init.retrieval import starter_retrieval_recipe
    from crosstower.data.reading import source_of
    from crosstower.errors import RecipeError, RunError
    from crosstower.recipe.csv import Csv
    from crosstower.recipe.recipe import Data
    from crosstower.storage.files import refuse_missing_folder, write_atomic

    if user is not None and item is None:
        raise RecipeError("--user: needs --item COLUMN, the id of the items to retrieve")
    if item is not None and task:
        raise RecipeError(
            "--task: not allowed with --item, as a retrieval recipe has no tasks; drop one of them"
        )
    if output.exists():
        raise RunError(f"{output}: already exists; choose another name with -o")
    refuse_missing_folder(output, error=RunError)
    path = data if data.startswith("world:") else str(Path(data).absolute())
    nulls = tuple(null_value or ())
    dialect = Csv(delimiter=delimiter, encoding=encoding, null_values=nulls)
    source = source_of(Data(path=data, csv=dialect))
    if item is None:
        text = starter_recipe(source, path=path, name=output.stem, tasks=task or [], time=time)
    else:
        text = starter_retrieval_recipe(
            source, path=path, name=output.stem, item=item, user=user, time=time
        )
    if dialect != Csv():
        section = json.dumps(dialect.model_dump(mode="json", exclude_defaults=True))
        text = text.replace("\ndata:\n", f"\ndata:\n  csv: {section}\n", 1)
    schema = output.with_name(f"{output.stem}.schema.json")
    write_atomic(schema, json.dumps(editor_schema(), indent=1).encode())
    write_atomic(output, f"# yaml-language-server: $schema={schema.name}\n{text}".encode())
    for line in text.splitlines():
        if line.startswith(CHECK):
            typer.echo(line.removeprefix("# "), err=True)
    typer.echo(f"{output}: check the inferred columns, then run: crosstower fit {output}")
