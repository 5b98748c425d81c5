"""The command that turns the scores of many tasks into one order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstower.cli.options import Json, RunArgument
from crosstower.errors import RecipeError

if TYPE_CHECKING:
    from crosstower.blending.blend_run import BlendResult
    from crosstower.recipe.blend import Blend, Diversity

blend_app = typer.Typer()

_EXAMPLES = (
    "Examples: crosstower blend runs/feed --weights like=1,comment=2 --transform probit"
    " --by content_type   |   crosstower blend runs/feed --tune utility.yaml   |  "
    " crosstower blend runs/ads --form value --weights click=1,buy=1 --amount bid"
)


Weights = Annotated[
    str | None, typer.Option(help="TASK=WEIGHT,...; with --form value the exponents.")
]
TransformOption = Annotated[
    str | None,
    typer.Option(help="identity, logit, probit, percentile or standardise; or TASK=TRANSFORM,..."),
]
By = Annotated[
    str | None, typer.Option(help="Column of the content type; fits each type by itself.")
]
Form = Annotated[str, typer.Option(help="sum, or value: a product times --amount.")]
Amount = Annotated[str | None, typer.Option(help="Column of the bid or price.")]
Tune = Annotated[
    Path | None, typer.Option(help="Find the weights for this utility (YAML), extra tune.")
]
UtilityOption = Annotated[
    Path | None, typer.Option(help="Measure by this utility (YAML) without tuning.")
]
User = Annotated[
    str | None, typer.Option(help="Column whose values have a list each: user, request.")
]
Places = Annotated[int | None, typer.Option("-k", min=1, help="Places that count.")]
Caps = Annotated[
    list[str] | None,
    typer.Option(help="TYPE=N: at most N of it in the first places ('*': any other type)."),
]
CapBy = Annotated[
    str | None, typer.Option(help="Column that --cap is about; that of --by if unset.")
]
Mmr = Annotated[
    float | None, typer.Option(help="0 to 1: relevance against novelty, with --similar-by.")
]
SimilarBy = Annotated[list[str] | None, typer.Option(help="Column in which rows may be alike.")]
Remove = Annotated[bool, typer.Option("--remove", help="Remove the blend that the run keeps.")]
Data = Annotated[
    str | None, typer.Option(help="The run's rows again, if it was trained on a data frame.")
]


@blend_app.command(epilog=_EXAMPLES)
def blend(
    run: RunArgument,
    weights: Weights = None,
    transform: TransformOption = None,
    by: By = None,
    form: Form = "sum",
    amount: Amount = None,
    tune: Tune = None,
    utility: UtilityOption = None,
    user: User = None,
    k: Places = None,
    cap: Caps = None,
    cap_by: CapBy = None,
    mmr: Mmr = None,
    similar_by: SimilarBy = None,
    data: Data = None,
    remove: Remove = False,
    as_json: Json = False,
) -> None:
    """Blend the tasks of a run into one order, and show what that does to the lists.

    Fitted (and tuned) on the validation rows, shown on the test rows. The blend stays with the run:
    crosstower predict gives its score from then on.
    """
    from rich.console import Console

    from crosstower.blending.blend_run import blend_run
    from crosstower.blending.utility import load_utility
    from crosstower.data.progress import progress_on
    from crosstower.training.run import Run

    if remove:
        _remove(run, [weights, transform, by, amount, tune, utility, user, k, cap, mmr, similar_by])
        return
    if tune is not None and utility is not None:
        raise RecipeError("--tune already measures by its utility; give --utility without --tune")
    if tune is not None and (weights or transform or by or amount or form != "sum"):
        raise RecipeError(
            "--tune finds weights, transform and by; say in the utility file which to try, or"
            " leave --tune out"
        )
    if cap_by is not None and not cap:
        raise RecipeError("--cap-by: goes with --cap TYPE=N, whose types are of that column")
    places = k or 10
    diversity = _diversity(places, cap, cap_by or by, mmr, similar_by)
    opened = Run.open(run)
    given = _blend(weights, transform, by, form, amount)
    with Console(stderr=True).status("blending") as status:
        result = blend_run(
            opened,
            given,
            tune=load_utility(tune) if tune is not None else None,
            utility=load_utility(utility) if utility is not None else None,
            diversity=diversity,
            user=user,
            k=k,
            data=data,
            on_progress=progress_on(status),
        )
    if as_json:
        typer.echo(json.dumps(result.plain(), indent=1))
    else:
        print_blend(result)


def _remove(run: Path, others: list[Any]) -> None:
    from crosstower.blending.removal import remove_blend

    if any(option is not None for option in others):
        raise RecipeError("--remove: takes the blend out and goes with no option of another one")
    removed = remove_blend(run)
    typer.echo(f"{removed.folder}: keeps no blend any more")
    if removed.recipe.blend is not None:
        typer.echo(f"that of its recipe comes back with: crosstower fit --resume {removed.folder}")


def _blend(
    weights: str | None, transform: str | None, by: str | None, form: str, amount: str | None
) -> Blend | None:
    """Return the blend of the options; None where none of them is given."""
    from crosstower.recipe.blend import Blend, parse_weights
    from crosstower.recipe.validation import validate

    if weights is None:
        if transform or by or amount or form != "sum":
            raise RecipeError("--weights: missing; the other options need it: like=1,comment=2")
        return None
    plain: dict[str, Any] = {"weights": parse_weights(weights), "form": form}
    plain |= {"by": by, "amount": amount}
    if transform is not None:
        plain["transform"] = _pairs("--transform", transform) if "=" in transform else transform
    return validate(Blend, plain, where="blend")


def _diversity(
    top: int,
    cap: list[str] | None,
    by: str | None,
    mmr: float | None,
    similar_by: list[str] | None,
) -> Diversity | None:
    from crosstower.recipe.blend import Diversity
    from crosstower.recipe.validation import validate

    if not cap and mmr is None and not similar_by:
        return None
    caps = {
        name: _number(name, value) for name, value in _pairs("--cap", ",".join(cap or [])).items()
    }
    plain: dict[str, Any] = {"top": top, "mmr": mmr, "similar_by": similar_by or [], "caps": caps}
    plain["by"] = by if caps else None
    return validate(Diversity, plain, where="diversity")


def _pairs(option: str, text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(",") if text else []:
        name, equals, value = (piece.strip() for piece in part.rpartition("="))
        if not equals or not name or not value:
            raise RecipeError(f"{option} '{text}': expected NAME=VALUE, got '{part}'")
        pairs[name] = value
    return pairs


def _number(name: str, value: str) -> int:
    if not value.isdigit():
        raise RecipeError(f"--cap {name}={value}: expected a whole number, as in video=3")
    return int(value)


def print_blend(result: BlendResult) -> None:
    """Print what each order is worth, task by task, and what it means."""
    from crosstower.cli.tables import console, indented

    k = result.asked.k
    kinds = result.asked.schema.kinds()
    for task in kinds:
        names = {
            f"ndcg.{task}": f"NDCG@{k}",
            f"total.{task}": f"{task}@{k}",
            f"expected.{task}": f"Expected@{k}",
            f"gauc.{task}": "gAUC",
        }
        _print_orders(f"{task}: test rows, one list per {result.asked.user}", names, result)
    shared = {
        n: n.removeprefix("share.") for n in result.orders[0].metrics if n.startswith("share.")
    }
    if shared:
        _print_orders(f"Share of the first {k} places", dict(list(shared.items())[:6]), result)
    if "utility" in result.orders[0].metrics:
        _print_orders("Utility", {"utility": f"First {k}"}, result)
    out = console()
    for sentence in [*result.sentences, *result.notes]:
        out.print(indented(sentence), highlight=False)
    out.print(f"page: {result.page}", highlight=False, soft_wrap=True)
    run = result.page.parent
    out.print(f"score rows: crosstower predict {run} ROWS", highlight=False, soft_wrap=True)


def _print_orders(title: str, names: dict[str, str], result: BlendResult) -> None:
    from crosstower.cli.tables import cell, print_table

    shown = {key: name for key, name in names.items() if key in result.orders[0].metrics}
    rows = [
        [f"{order.name} *" if order.role == "model" else order.name]
        + [cell(order.metrics.get(key)) for key in shown]
        for order in result.orders
    ]
    print_table(title, ["", *shown.values()], rows)
