"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that fit wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", metavar="KEY=VALUE", help="Override any key of the recipe."),
]
Count = Annotated[int, typer.Option("-k", min=1, help="How many items.")]
Where = Annotated[
    str | None, typer.Option(help="Condition, such as: city == 'Paris' and price < 120")
]
Query = Annotated[str | None, typer.Option(help='Query columns as JSON: {"device": "tv"}')]
Seed = Annotated[int | None, typer.Option(help="One of the run's seeds; the first if unset.")]
Seeds = Annotated[int, typer.Option(min=1, help="Trainings of each model; gives mean and sd.")]
