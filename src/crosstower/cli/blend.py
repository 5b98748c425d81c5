"""`crosstower blend`: combine the predictions of several tasks into one score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crosstower.cli.options import RANK, Json, RunArgument, renamed_options
from crosstower.errors import RecipeError

if TYPE_CHECKING:
    from crosstower.blending.blend_run import BlendResult
    from crosstower.recipe.blend import Blend, Diversity

blend_app = typer.Typer()

_EXAMPLES = (
    "Examples: crosstower blend runs/feed --weights like=1,comment=2 --transform probit"
    " --by content_type   |   crosstower blend runs/feed --tune utility.yaml   |  "
    " crosstower blend runs/ads --mode product --weights click=1,buy=1 --amount bid"
)


Weights = Annotated[
    str | None,
    typer.Option(metavar="WEIGHTS", help="TASK=WEIGHT,... (exponents with --mode product)."),
]
TransformOption = Annotated[
    str | None,
    typer.Option(
        metavar="TRANSFORM",
        help="identity, logit, probit, percentile or standardise; or TASK=TRANSFORM,...",
    ),
]
By = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Content type column; transforms are fitted per type."),
]
Mode = Annotated[str, typer.Option(metavar="MODE", help="sum, or product (times --amount).")]
Amount = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Bid or price column; needs --mode product.")
]
Tune = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Tune the blend for a utility (YAML); needs the extra tune."),
]
UtilityOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Evaluate by a utility (YAML) without tuning.")
]
User = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Column with one list per value, e.g. a user or request id."
    ),
]
Places = Annotated[
    int | None, typer.Option("-k", min=1, metavar="N", help="Length of the lists (default: 10).")
]
Caps = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TYPE=N",
        help="At most N of this type in the top k ('*': any other type); repeatable.",
    ),
]
CapBy = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column that --cap applies to (default: --by).")
]
Mmr = Annotated[
    float | None,
    typer.Option(metavar="NUMBER", help="MMR, 0 to 1: 1 is relevance only; needs --similar-by."),
]
SimilarBy = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Column that defines similarity; repeatable."),
]
Remove = Annotated[bool, typer.Option("--remove", help="Remove the blend stored with the run.")]
Data = Annotated[
    str | None,
    typer.Option(metavar="DATA", help="Rows of the run; needed if it was trained on a data frame."),
]


@blend_app.command(
    rich_help_panel=RANK,
    cls=renamed_options({"--form": "--mode"}, {"value": "product"}),
    epilog=_EXAMPLES,
)
def blend(
    run: RunArgument,
    weights: Weights = None,
    transform: TransformOption = None,
    by: By = None,
    mode: Mode = "sum",
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
    """Blend the predictions of all tasks into one score and compare the orders.

    The blend is fitted on the validation rows, compared on the test rows and stored with the run;
    crosstower predict then writes its score.
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
        raise RecipeError(
            "--utility: not allowed with --tune, which evaluates by its own utility; drop one"
        )
    if tune is not None and (weights or transform or by or amount or mode != "sum"):
        raise RecipeError(
            "--tune: sets --weights, --transform and --by; drop these options, --amount and --mode,"
            " or list the choices to try in the utility file"
        )
    if cap_by is not None and not cap:
        raise RecipeError("--cap-by: needs --cap TYPE=N, whose types are values of that column")
    places = k or 10
    diversity = _diversity(places, cap, cap_by or by, mmr, similar_by)
    opened = Run.open(run)
    given = _blend(weights, transform, by, mode, amount)
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
        raise RecipeError("--remove: cannot be combined with options of another blend; drop them")
    removed = remove_blend(run)
    typer.echo(f"{removed.folder}: blend removed")
    if removed.recipe.blend is not None:
        typer.echo(f"restore the recipe's blend with: crosstower fit --resume {removed.folder}")


def _blend(
    weights: str | None, transform: str | None, by: str | None, mode: str, amount: str | None
) -> Blend | None:
    """Return the blend that the options define; None if there are none."""
    from crosstower.recipe.blend import Blend, parse_weights
    from crosstower.recipe.validation import validate

    if weights is None:
        if transform or by or amount or mode != "sum":
            raise RecipeError(
                "--weights: missing, and the other options need it; add --weights like=1,comment=2"
            )
        return None
    plain: dict[str, Any] = {"weights": parse_weights(weights), "mode": mode}
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
    """Print the metrics of each order per task, and the verdicts."""
    from crosstower.cli.tables import console, indented

    k = result.comparison.k
    kinds = result.comparison.schema.kinds()
    for task in kinds:
        names = {
            f"ndcg.{task}": f"NDCG@{k}",
            f"total.{task}": f"{task}@{k}",
            f"expected.{task}": f"Expected@{k}",
            f"gauc.{task}": "gAUC",
        }
        _print_orders(f"{task}: test rows, one list per {result.comparison.user}", names, result)
    shared = {
        n: n.removeprefix("share.") for n in result.orders[0].metrics if n.startswith("share.")
    }
    if shared:
        _print_orders(f"Share of the top {k}", dict(list(shared.items())[:6]), result)
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
