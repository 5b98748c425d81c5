"""`crosstower serve`: serve a bundle over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crosstower.cli.options import SERVE, STATE, checked_state, renamed_options, state_of
from crosstower.values.addresses.address import absolute_path, place_of

if TYPE_CHECKING:
    from crosstower.serving.http.settings import Settings

serve_app = typer.Typer()
_RENAMED = {
    "--waiting": "--max-queue",
    "--together": "--max-batch-size",
    "--seconds": "--queue-timeout",
}


@serve_app.command(
    rich_help_panel=SERVE,
    cls=renamed_options(_RENAMED),
    epilog="Examples: crosstower serve bundle   |   crosstower serve bundle --host 0.0.0.0"
    " --port 80 --workers 4, with CROSSTOWER_READ_TOKEN, CROSSTOWER_WRITE_TOKEN and"
    " CROSSTOWER_ADMIN_TOKEN set   |   crosstower serve bundle --state"
    " postgresql://crosstower@db.example/shop, with PGPASSWORD set",
)
def serve(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle folder or address.")],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="Port to listen on.")
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Worker processes.")] = 1,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads per worker.")] = 1,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            envvar=STATE,
            callback=checked_state,
            help="State of changed items and events: a folder, or"
            " postgresql://USER@HOST/DATABASE for several servers (default: BUNDLE.state).",
        ),
    ] = None,
    log: Annotated[
        bool,
        typer.Option("--log", help="Log all lists, except requests with log: false."),
    ] = False,
    state_limit: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="MB", help="Reject events and items (507) above this size of the state."
        ),
    ] = None,
    max_batch_size: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Maximum number of requests per batch."),
    ] = 8,
    max_queue: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Waiting requests per worker; more get a 503."),
    ] = 256,
    queue_timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Longest wait; then the request gets a 503."),
    ] = 10.0,
    connections: Annotated[
        int, typer.Option(min=1, metavar="N", help="Open connections per worker.")
    ] = 1_000,
    read_timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Time for a client to send a request."),
    ] = 15.0,
    max_staleness: Annotated[
        float,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Staleness of a state in PostgreSQL above which /readyz responds 503.",
        ),
    ] = 60.0,
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Additional Host that clients may use if no token is set; repeatable.",
        ),
    ] = None,
    experiments: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Run the experiments of this file (YAML)."),
    ] = None,
    tracing: Annotated[
        bool,
        typer.Option(
            "--tracing", help="Export OpenTelemetry traces to OTEL_EXPORTER_OTLP_ENDPOINT."
        ),
    ] = False,
    log_format: Annotated[
        Literal["text", "json"],
        typer.Option(help="text, or json: one object per line, and a line per request."),
    ] = "text",
    open_to_all: Annotated[
        bool, typer.Option("--open", help="Serve other machines without tokens.")
    ] = False,
) -> None:
    """Serve a bundle over HTTP, with a web page to explore it; Ctrl-C stops it.

    Items and events that clients send are kept in the state across restarts and new bundles. Any
    number of servers may share a state in PostgreSQL.
    """
    try:
        from crosstower.evaluation.experiments.experiment_file import load_experiments
        from crosstower.serving.http.server import temporary_folder
        from crosstower.serving.http.settings import Limits, Settings
    except ImportError as error:
        from crosstower.errors import ServeError

        raise ServeError(
            f"the server needs the package {error.name}; install it with:"
            " pip install 'crosstower[serve]'"
        ) from error

    address = state_of(folder, state)
    settings = Settings(
        bundle=absolute_path(folder),
        state=address,
        temporary=temporary_folder(address),
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        open=open_to_all,
        log=log,
        host_names=tuple(host_name or ()),
        tracing=tracing,
        log_format=log_format,
        experiments=None if experiments is None else load_experiments(experiments),
        limits=Limits(
            max_batch_size=max_batch_size,
            max_queue=max_queue,
            queue_timeout=queue_timeout,
            connections=connections,
            read_seconds=read_timeout,
            max_staleness=max_staleness,
            state_bytes=None if state_limit is None else int(state_limit * 1e6),
        ),
    )
    run_server(settings, folder)


def run_server(settings: Settings, folder: Path) -> None:
    """Print the bundle `folder` and its address, and serve it until Ctrl-C."""
    from crosstower.serving.http.log_format import as_line
    from crosstower.serving.http.server import prepared
    from crosstower.serving.http.server import serve as run

    host, port, log_format = settings.host, settings.port, settings.log_format
    with prepared(settings) as made:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{port}/"
        words = (
            f"{made.manifest.name}, version {made.version}: {address} (API: {address}openapi.json)"
        )
        typer.echo(as_line(f"{words}; Ctrl-C stops it", log_format))
        if made.path != settings.bundle:
            place = place_of(folder)
            words = (
                f"it is {made.place}, which was published in place of {place}; to serve that one:"
                f" crosstower rollback {place} --state {settings.state} --to 0"
            )
            typer.echo(as_line(words, log_format))
        sys.stdout.flush()
        run(settings)
