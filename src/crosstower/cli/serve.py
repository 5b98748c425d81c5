"""The commands that take runs into service: bundle and serve."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crosstower.cli.options import Json, Seed

if TYPE_CHECKING:
    from crosstower.serving.bundle.bundle import Bundle
    from crosstower.serving.bundle.manifest import Manifest

serve_app = typer.Typer()


@serve_app.command(
    epilog="Examples: crosstower bundle runs/retrieval runs/ranking -o bundle   |  "
    " crosstower bundle runs/clicks -o bundle --json"
)
def bundle(
    runs: Annotated[list[Path], typer.Argument(help="A run that retrieves, one that ranks, both.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    candidates: Annotated[int, typer.Option(min=1, help="Items that the ranker gets.")] = 200,
    index: Annotated[
        Literal["auto", "exact", "ann"],
        typer.Option(help="Of the items; auto is approximate from 20,000 items on."),
    ] = "auto",
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Put everything that a server needs into one folder, with checksums and a model card."""
    from rich.console import Console

    from crosstower.data.progress import progress_on
    from crosstower.serving.bundle.building import make_bundle

    with Console(stderr=True).status("opening the runs") as status:
        made = make_bundle(
            runs,
            output,
            candidates=candidates,
            index=index,
            seed=seed,
            on_progress=progress_on(status),
        )
    if as_json:
        typer.echo(made.manifest.model_dump_json(indent=1, exclude={"files"}))
    else:
        print_bundle(made)


def print_bundle(made: Bundle) -> None:
    """Print what is in a bundle, and how to serve it."""
    from crosstower.cli.tables import console

    manifest = made.manifest
    size = sum(f.bytes for f in manifest.files.values()) / 1e6
    out = console()
    items = f", {manifest.items:,} items ({manifest.index} index)" if manifest.index else ""
    out.print(
        f"{made.folder}: version {manifest.version}, {' and '.join(manifest.stages)}{items},"
        f" {size:,.1f} MB; {made.folder / 'card.html'} is its model card.",
        highlight=False,
        soft_wrap=True,
    )
    for note in (_index_note(manifest), *(match.sentence for match in manifest.joins)):
        if note:
            out.print(note, highlight=False, soft_wrap=True)
    out.print(f"Serve it: crosstower serve {made.folder}", highlight=False, soft_wrap=True)


def _index_note(manifest: Manifest) -> str:
    """Return the recall of the approximate index, and that it is not used if it was too low."""
    recall = manifest.index_recall
    if recall is None:
        return ""
    if manifest.index == "exact":
        return (
            f"The index stays exact: an approximate one reaches recall@10 {recall:.3f} on these"
            " vectors, below 0.95; --index ann takes it all the same."
        )
    return f"The approximate index has recall@10 {recall:.3f}."


@serve_app.command(
    epilog="Examples: crosstower serve bundle   |   crosstower serve bundle --host 0.0.0.0"
    " --port 80 --workers 4, with CROSSTOWER_READ_TOKEN, CROSSTOWER_WRITE_TOKEN and"
    " CROSSTOWER_ADMIN_TOKEN set"
)
def serve(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each holds the models.")] = 1,
    threads: Annotated[
        int, typer.Option(min=1, help="Processors that the products of a worker use.")
    ] = 1,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder for changed items and events; BUNDLE.state if unset."),
    ] = None,
    state_limit: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="MB", help="Size of the state above which events are refused with a 507."
        ),
    ] = None,
    waiting: Annotated[
        int, typer.Option(min=1, help="Requests that may wait in a worker; more get a 503.")
    ] = 256,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long a request may wait.")] = 10.0,
    connections: Annotated[int, typer.Option(min=1, help="Open connections per worker.")] = 1_000,
    read_timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Time for a client to send a request."),
    ] = 15.0,
    together: Annotated[
        int,
        typer.Option(min=1, help="Waiting requests for lists that a worker answers as one."),
    ] = 8,
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name that clients may use besides the address and localhost, where no token"
            " is set; may be repeated."
        ),
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open", help="Serve other machines without tokens.")
    ] = False,
) -> None:
    """Serve a bundle over HTTP, with a page to look at it; Ctrl-C stops it.

    PUT and DELETE /v1/items and POST /v1/events are kept in the state folder, which survives
    restarts and new bundles.
    """
    try:
        from crosstower.serving.http.server import prepared
        from crosstower.serving.http.server import serve as run
        from crosstower.serving.http.settings import Limits, Settings
    except ImportError as error:
        from crosstower.errors import ServeError

        raise ServeError(
            f"the server needs the package {error.name}; install it with:"
            " pip install 'crosstower[serve]'"
        ) from error

    settings = Settings(
        bundle=folder.absolute(),
        state=(state or folder.with_name(f"{folder.absolute().name}.state")).absolute(),
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        open=open_to_all,
        host_names=tuple(host_name or ()),
        limits=Limits(
            waiting=waiting,
            seconds=seconds,
            together=together,
            connections=connections,
            read_seconds=read_timeout,
            state_bytes=None if state_limit is None else int(state_limit * 1e6),
        ),
    )
    with prepared(settings) as made:
        name = f"[{host}]" if ":" in host else host
        typer.echo(
            f"{made.manifest.name}, version {made.version}: http://{name}:{port}/ (API:"
            f" http://{name}:{port}/openapi.json); Ctrl-C stops it"
        )
        sys.stdout.flush()
        run(settings)
