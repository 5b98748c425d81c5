"""`crosstower play`: serve a bundle with a shop page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from crosstower.cli.demo.browser import HOST, check_can_serve, open_when_listening
from crosstower.cli.options import SERVE, checked_state, state_of
from crosstower.errors import QueryError, RunError
from crosstower.storage.files import refuse_unwritable

play_app = typer.Typer()
World = Literal["homes", "restaurants"]


@play_app.command(
    rich_help_panel=SERVE,
    epilog="Examples: crosstower play   |   crosstower play --world restaurants --port 8080   |  "
    " crosstower play runs/shop-bundle --no-browser",
)
def play(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help="Bundle folder (default: that of --world)."),
    ] = None,
    world: Annotated[
        World | None,
        typer.Option(
            help="Synthetic shop to train once and reuse afterwards: holiday homes, or restaurants"
            " searched by text, place and time (default: homes)."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the trained shop (default: runs)."),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Train the shop again, even if it exists.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65_535, metavar="N", help="Port of the page.")
    ] = 8000,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            callback=checked_state,
            help="State for clicks: a folder, or postgresql://USER@HOST/DATABASE (default:"
            " BUNDLE.play, separate from the events of crosstower serve).",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open the page in a browser.")
    ] = False,
) -> None:
    """Serve a bundle with a shop page: a feed, a text search, a map with distances.

    A click is sent as an event and affects the next list. The columns of the bundle determine the
    panels. Without BUNDLE, a shop is trained first, in less than a minute.
    Ctrl-C stops the server.
    """
    if bundle is not None:
        given = {"--world": world, "--out": out, "--rebuild": rebuild or None}
        for name, value in given.items():
            if value is not None:
                raise QueryError(f"{name}: not with BUNDLE; drop one of them")
    check_can_serve(port, otherwise="")
    from crosstower.cli.play.worlds import SHOPS

    searches: tuple[str, ...] = ()
    if bundle is None:
        shop = SHOPS[world or "homes"]
        bundle, searches = _trained(world or "homes", out or Path("runs"), rebuild), shop.searches
    _serve(bundle, searches, port=port, state=state, browser=not no_browser)


def _trained(world: str, out: Path, rebuild: bool) -> Path:
    """Return the bundle of a world in the folder `out`, trained now if there is none."""
    from crosstower.cli.play.building import build_shop
    from crosstower.cli.play.worlds import SHOPS

    place = out / f"play-{world}"
    refuse_unwritable(place, error=RunError)
    if place.exists() and not rebuild:
        typer.echo(f"{place} already exists; --rebuild trains it again\n")
        return place
    typer.echo(f"Train a shop of {SHOPS[world].words}, once: it is kept as {place}.\n")
    build_shop(SHOPS[world], place)
    return place


def _serve(
    folder: Path, searches: tuple[str, ...], *, port: int, state: str | None, browser: bool
) -> None:
    """Serve the bundle with its shop page until Ctrl-C."""
    from crosstower.cli.play.missing_parts import missing_parts
    from crosstower.cli.serve import run_server
    from crosstower.serving.bundle import Bundle
    from crosstower.serving.http.server import temporary_folder
    from crosstower.serving.http.settings import Settings, Shop
    from crosstower.values.addresses.address import absolute_path

    for words in missing_parts(Bundle.open(absolute_path(folder))):
        typer.echo(f"note: {words}")
    address = state_of(folder, state, ending=".play")
    settings = Settings(
        bundle=absolute_path(folder),
        state=address,
        temporary=temporary_folder(address),
        host=HOST,
        port=port,
        shop=Shop(searches=searches),
    )
    if browser:
        open_when_listening(port)
    run_server(settings, folder)
