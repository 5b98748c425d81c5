"""`crosstower events`: export the events that a server has stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import SERVE, STATE, Force, Json, checked_state, needed_time_of, time_of
from crosstower.errors import QueryError

if TYPE_CHECKING:
    from crosstower.serving.state.event_export import EventExport

_KEYS = 10  # named one by one
events_app = typer.Typer()


@events_app.command(
    rich_help_panel=SERVE,
    epilog="Examples: crosstower events state -o events.parquet   |  "
    " crosstower events state -o january.parquet --after 2026-01-01 --until 2026-02-01 --type click"
    "   |   crosstower events state --delete-before 2026-01-01",
)
def events(
    state: Annotated[
        str,
        typer.Argument(
            metavar="STATE",
            envvar=STATE,
            callback=checked_state,
            help="State of the server: a folder, or postgresql://USER@HOST/DATABASE.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Parquet file (default: events.parquet)."
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Events from this date or time on; UTC if no zone is given."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Events before this date or time.")
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Events of this type only; repeatable."),
    ] = None,
    delete_before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Delete all events before this date or time; export nothing."
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Export stored events to Parquet, also while the server runs."""
    from crosstower.serving.state.event_export import export_events

    if delete_before is not None:
        if output or after or until or kinds:
            raise QueryError(
                "--delete-before: cannot be combined with export options; export first, then delete"
            )
        _delete(state, delete_before, as_json=as_json)
        return
    output = output or Path("events.parquet")
    found = export_events(
        state,
        output,
        after=time_of("--after", after),
        until=time_of("--until", until),
        types=kinds or None,
        force=force,
    )
    if as_json:
        facts = {"output": str(output), "events": found.counts, "only_json": found.only_json,
                 "more_keys": found.more_keys}  # fmt: skip
        typer.echo(json.dumps(facts, indent=1))
    else:
        print_events(found, output)


def _delete(address: str, before: str, *, as_json: bool) -> None:
    from crosstower.cli.tables import console
    from crosstower.serving.state.state import State

    with State.open_existing(address) as state:
        gone, left = state.delete_events(needed_time_of("--delete-before", before)), state.events()
    if as_json:
        typer.echo(json.dumps({"deleted": gone, "left": left}, indent=1))
    else:
        console().print(
            f"{gone:,} events deleted, {left:,} left; their space in the file is reused",
            highlight=False,
        )


def print_events(found: EventExport, output: Path) -> None:
    """Print the number of exported events per type, and the file."""
    from crosstower.cli.tables import console, print_table

    out = console()
    if found.counts:
        print_table(
            None, ["Type", "Events"], [[_shown(k), f"{n:,}"] for k, n in found.counts.items()]
        )
    for key in found.only_json[:_KEYS]:
        name = key.partition(".")[0]
        note = "has no column of its own (objects, values of several types, or too many keys)"
        out.print(f"Note: {_shown(key)} {note}; see the JSON column '{name}'.", highlight=False)
    if len(found.only_json) > _KEYS or found.more_keys:
        out.print("Note: further keys are in the JSON columns only.", highlight=False)
    out.print(f"{output}: {found.events:,} events", highlight=False, soft_wrap=True)


def _shown(given: str) -> str:
    """Return text from a client with control characters escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in given)
