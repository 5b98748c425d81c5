"""Arguments, options and help panels that several commands share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from crosstower.errors import QueryError
from crosstower.recipe.renamed import NONE, with_new_options
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.values.addresses.address import address_of

if TYPE_CHECKING:
    from crosstower.serving.state.address import StateAddress

DATA, TRAIN, RETRIEVE, RANK, SERVE = "Data", "Train", "Retrieve", "Rank and blend", "Serve"
"""Groups of commands in `crosstower --help`."""

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run written by fit: folder or address.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-o", "--override", metavar="KEY=VALUE", help="Override a key of the recipe; repeatable."
    ),
]
Count = Annotated[int, typer.Option("-k", min=1, metavar="N", help="Number of items.")]
Candidates = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Retrieved items that the ranker scores (default: 200, or the sum of the quotas of"
        " the recipe's sources).",
    ),
]
Where = Annotated[
    str | None,
    typer.Option(metavar="CONDITION", help="Filter items, e.g. city == 'Paris' and price < 120"),
]
Query = Annotated[
    str | None, typer.Option(metavar="JSON", help='Query columns, e.g. {"device": "tv"}')
]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="Model of the run; the main one if unset.")
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", help="Seed of the training run (default: the first)."),
]
IndexOptions = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Option of the index engine; repeatable."),
]

STATE = "CROSSTOWER_STATE"
"""Variable with the address of a state, which may contain a password."""


def checked_state(
    context: typer.Context, parameter: typer.CallbackParam, value: str | None
) -> str | None:
    """Return the given address of a state, unless a command line shows its password.

    Raises:
        QueryError: the command line has a password.
        ServeError: it is not an address of a state.

    """
    from crosstower.serving.state.address import PostgresAddress, state_address

    if value is None:
        return None
    source = context.get_parameter_source(parameter.name or "")
    address = state_address(value)
    given = source is not None and source.name == "COMMANDLINE"
    if given and isinstance(address, PostgresAddress) and address.has_password:
        raise QueryError(
            "--state: a password on the command line can be read by other users of the machine; set"
            f" PGPASSWORD or PGPASSFILE, or put the whole address into {STATE}"
        )
    return value


StateOfBundle = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="STATE",
        envvar=STATE,
        callback=checked_state,
        help="State of the server: a folder, or postgresql://USER@HOST/DATABASE (default:"
        " BUNDLE.state).",
    ),
]
Events = Annotated[
    str | None,
    typer.Option(
        metavar="LOG", help="Events that counters count (default: the logs of the recipe)."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output file.")]


def renamed_options(
    names: Mapping[str, str], values: Mapping[str, str] = NONE
) -> type[TyperCommand]:
    """Return the class of a command that still accepts old option names, with a warning.

    Args:
        names: new option by old option, as in `{"--waiting": "--max-queue"}`.
        values: new value by old value of a renamed option.

    """

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, with_new_options(args, names, values))

    return Command


def state_of(bundle: Path, state: str | None, *, ending: str = ".state") -> StateAddress:
    """Return the address of a server's state: the given one, or a folder next to its bundle.

    Args:
        bundle: its folder, such as `.` or `runs/bundle`.
        state: as given, None for the folder next to the bundle.
        ending: suffix of the bundle's name in the name of that folder.

    """
    from crosstower.errors import ServeError
    from crosstower.serving.state.address import state_address
    from crosstower.storage.files import beside

    if state is None and (address := address_of(bundle)) is not None:
        raise ServeError(
            f"{address}: a bundle at an address has no folder next to it; give --state FOLDER, or"
            " --state postgresql://USER@HOST/DATABASE"
        )
    found = state_address(state or beside(bundle, ending))
    return found.absolute() if isinstance(found, Path) else found


def parsed_query(text: str | None) -> dict[str, Any] | None:
    """Return the query given as JSON.

    Raises:
        QueryError: the text is not a JSON object.

    """
    if text is None:
        return None
    try:
        query = json.loads(text)
    except ValueError as error:
        raise QueryError(
            f'--query: not JSON ({error}); write an object such as {{"device": "tv"}}'
        ) from error
    if not isinstance(query, dict):
        raise QueryError('--query: expected a JSON object such as {"device": "tv"}')
    return query


def pairs_of(options: list[str] | None) -> dict[str, Any]:
    """Return the options given as KEY=VALUE, values read as YAML.

    Raises:
        QueryError: one has no key or no value.

    """
    found: dict[str, Any] = {}
    for option in options or []:
        key, _, value = option.partition("=")
        if not key or not value:
            raise QueryError(f"--index-option: expected KEY=VALUE, got '{option}'")
        found[key] = read_yaml(value)
    return found


def time_of(option: str, text: str | None) -> datetime | None:
    """Return the time of an option; None if it is not given."""
    return None if text is None else needed_time_of(option, text)


def needed_time_of(option: str, text: str) -> datetime:
    """Return the time of an option, in UTC if it has no zone.

    Raises:
        QueryError: it is not a date or time.

    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(
            f"{option}: expected a date or time such as 2026-01-31 or 2026-01-31T18:30:00+01:00,"
            f" got {text!r}"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
