"""`crosstower plan`: memory, exchanged bytes and speed of a training run on several devices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import TRAIN, Json, Overrides
from crosstower.errors import RecipeError
from crosstower.values.addresses.address import place_of

if TYPE_CHECKING:
    from crosstower.data.layout import Layout
    from crosstower.fitting.plan.result import Plan
    from crosstower.recipe.recipe import Recipe

plan_app = typer.Typer()


@plan_app.command(
    rich_help_panel=TRAIN,
    epilog="Examples: crosstower plan recipe.yaml --gpus 64 --ids 1e9   |   crosstower plan"
    " runs/clicks --gpus 8 --gpu a100 --batch-size 65536   |   crosstower plan recipe.yaml"
    " --processes 2 --ids 1e7",
)
def plan(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="Recipe, or a run, whose table sizes are known."),
    ],
    override: Overrides = None,
    gpus: Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of GPUs.")] = None,
    gpu: Annotated[
        str, typer.Option(metavar="NAME", help="a100, a100-40, h100, h200 or l4.")
    ] = "h100",
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of processes on this machine, without GPUs."),
    ] = None,
    ids: Annotated[
        float | None,
        typer.Option(min=1, metavar="N", help="Total number of ids over all columns, e.g. 1e9."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Rows per step over all devices (default: recipe)."),
    ] = None,
    list_length: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Values per list (default: max_len, or 10)."),
    ] = None,
    memory: Annotated[
        float | None, typer.Option(min=0.1, metavar="GB", help="Memory of a device.")
    ] = None,
    bandwidth: Annotated[
        float | None, typer.Option(min=0.1, metavar="GB/S", help="Memory bandwidth of a device.")
    ] = None,
    network: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="GB/S", help="Rate to other nodes, per device, each way."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate memory, exchanged bytes and rows/s of a training run before it runs."""
    from crosstower.fitting.plan.devices import device_of
    from crosstower.fitting.plan.planning import plan_training

    if ids is not None and not math.isfinite(ids):
        raise RecipeError(f"--ids: expected a number such as 1e9, got {ids}")
    if gpus is not None and processes is not None:
        raise RecipeError("--gpus, --processes: give one of them")
    device = None
    if processes is None:
        given = {"memory_gb": memory, "bandwidth_gbs": bandwidth, "network_gbs": network}
        given = {name: value for name, value in given.items() if value is not None}
        device = device_of(gpu).model_copy(update=given)
    elif (memory, bandwidth, network) != (None, None, None):
        raise RecipeError("--memory, --bandwidth, --network: describe a GPU; leave --processes out")
    read, layout = _recipe_of(recipe, override or [])
    found = plan_training(
        read,
        device=device,
        devices=processes or gpus or 1,
        layout=layout,
        ids=None if ids is None else int(ids),
        batch_size=batch_size,
        list_length=list_length,
    )
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        _show(found)


def _recipe_of(text: str, overrides: list[str]) -> tuple[Recipe, Layout | None]:
    """Return a recipe, and the layout of a run."""
    from crosstower.recipe.loading import load_recipe
    from crosstower.training.run import MARKER, Run

    place = place_of(text, error=RecipeError)
    at_address = not isinstance(place, Path)
    is_run = place.suffix != ".yaml" if at_address else (place / MARKER).is_file()
    if not is_run:
        return load_recipe(text, overrides), None
    if overrides:
        raise RecipeError("-o: only with a recipe; a run is planned as it was trained")
    run = Run.open(text)
    return run.recipe, run.encoder.layout


def _show(plan: Plan) -> None:
    from crosstower.cli.tables import console, indented, print_table

    nodes = f" on {plan.nodes} nodes" if plan.nodes > 1 else ""
    ids, rows = f"{plan.ids:,} ids", f"{plan.batch_size:,} rows per step"
    print_table(
        f"{plan.devices} x {plan.device}{nodes}, {ids}, {rows}",
        ["table", "rows", "width", "look-ups per row", "GB per device"],
        [
            [t.name, f"{t.rows:,}", str(t.width), f"{t.lookups:g}", _in(1e9, t.bytes_per_device)]
            for t in plan.tables
        ],
    )
    print_table(None, ["memory per device", "GB"], _rows(plan.memory, 1e9))
    print_table(None, ["sent per device and step", "MB"], _rows(plan.bytes_per_step, 1e6))
    out = console()
    if plan.seconds_per_step is not None and plan.rows_per_second is not None:
        print_table(None, ["step", "ms"], _rows(plan.seconds_per_step, 1e-3))
        words = f"about {float(f'{plan.rows_per_second:.2g}'):,.0f} rows/s"
        out.print(f"{words}; published A100 systems reach 0.8 to 1.4 times such estimates")
    for sentence in plan.advice:
        out.print(indented(sentence), highlight=False)
    if plan.source:
        out.print(f"rates: {plan.source}", highlight=False, soft_wrap=True)


def _rows(parts: dict[str, float], unit: float) -> list[list[str]]:
    rows = [[name, _in(unit, value)] for name, value in parts.items() if value]
    return [*rows, ["total", _in(unit, sum(parts.values()))]]


def _in(unit: float, value: float) -> str:
    return f"{value / unit:,.3f}"
