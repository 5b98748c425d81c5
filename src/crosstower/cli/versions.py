"""`crosstower versions`: list the versions of a served bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import SERVE, Json, StateOfBundle, state_of

if TYPE_CHECKING:
    from crosstower.serving.retraining.summary import VersionsSummary, VersionSummary

_GAINS = 4  # shown per version
versions_app = typer.Typer()


@versions_app.command(
    rich_help_panel=SERVE,
    epilog="Examples: crosstower versions bundle   |   crosstower versions bundle --state state"
    " --json",
)
def versions(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Bundle served first: a folder or an address.")
    ],
    state: StateOfBundle = None,
    as_json: Json = False,
) -> None:
    """List the versions built by retraining: verdicts, gains, and which is live."""
    from crosstower.serving.retraining.history import History
    from crosstower.serving.retraining.summary import summarise
    from crosstower.serving.state.state import State

    with State.open_existing(state_of(bundle, state)) as opened:
        found = summarise(History.of(opened, bundle))
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        print_versions(found)


def print_versions(found: VersionsSummary) -> None:
    """Print a line per version, the newest first, and since when the live one is live."""
    from crosstower.cli.tables import console, print_table

    rows = [
        [
            f"{one.number} *" if one.live else f"{one.number}",
            (one.begun or "").replace("T", " ").removesuffix("Z"),
            "" if one.rows is None else f"{one.rows:,}",
            one.verdict if one.available or one.verdict != "published" else "removed",
            "; ".join(one.reasons) or _gains(one),
        ]
        for one in found.versions
    ]
    print_table(
        "Versions (* live; times in UTC; gate: + is better)",
        ["", "Begun", "Rows", "Verdict", "Gate"],
        rows,
    )
    if found.live is None:
        console().print("live: a bundle that was swapped to by its path", highlight=False)
    elif found.since is not None:
        console().print(f"live: version {found.live} since {found.since}", highlight=False)


def _gains(one: VersionSummary) -> str:
    """Return the gains of a version over the one that was live."""
    from crosstower.evaluation.metrics.registry import title_of

    found = one.figures.get("comparisons", [])
    shown = [f"{c['name']} {title_of(c['metric'])} {c['gain']:+.4f}" for c in found[:_GAINS]]
    return ", ".join([*shown, *(["..."] if len(found) > _GAINS else [])])
