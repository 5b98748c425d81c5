"""`crosstower bundle`: package trained runs for serving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import SERVE, Candidates, IndexOptions, Json, Seed, pairs_of

if TYPE_CHECKING:
    from crosstower.serving.bundle.bundle import Bundle
    from crosstower.serving.bundle.manifest import BundleManifest

bundle_app = typer.Typer()


@bundle_app.command(
    rich_help_panel=SERVE,
    epilog="Examples: crosstower bundle runs/retrieval runs/ranking -o bundle   |  "
    " crosstower bundle runs/clicks -o bundle --json",
)
def bundle(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="A retrieval run, a ranking run, or both."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder or address to create.")
    ],
    candidates: Candidates = None,
    index: Annotated[
        str,
        typer.Option(
            help="Index of the items: exact, ann, milvus, pgvector or a custom engine; auto is"
            " approximate for 20,000 items or more."
        ),
    ] = "auto",
    index_option: IndexOptions = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Rules of all lists, as YAML (default: those of the recipe)."
        ),
    ] = None,
    explore: Annotated[
        str | None,
        typer.Option(
            metavar="YAML",
            help="Exploration of all lists, e.g. '{kind: epsilon, epsilon: 0.1}' (default: none).",
        ),
    ] = None,
    history_event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE",
            help="Events of this type extend the histories of users; repeatable (default: those of"
            " the recipe).",
        ),
    ] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Package models, items, index and blend in one folder, with checksums and a model card."""
    from rich.console import Console

    from crosstower.data.progress import progress_on
    from crosstower.serving.bundle.building import make_bundle

    with Console(stderr=True).status("opening the runs") as status:
        made = make_bundle(
            runs,
            output,
            candidates=candidates,
            index=index,
            index_options=pairs_of(index_option),
            seed=seed,
            rules=rules,
            explore=explore,
            history_events=history_event,
            on_progress=progress_on(status),
        )
    if as_json:
        typer.echo(made.manifest.model_dump_json(indent=1, exclude={"files"}))
    else:
        print_bundle(made)


def print_bundle(made: Bundle) -> None:
    """Print the contents of a bundle and the command that serves it."""
    from crosstower.cli.tables import console

    manifest, place = made.manifest, made.place
    size = sum(f.bytes for f in manifest.files.values()) / 1e6
    out = console()
    items = f", {manifest.items:,} items ({manifest.index} index)" if manifest.index else ""
    out.print(
        f"{place}: version {manifest.version}, {' and '.join(manifest.stages)}{items},"
        f" {size:,.1f} MB; model card: {place / 'card.html'}",
        highlight=False,
        soft_wrap=True,
    )
    joins = (match.sentence for match in manifest.joins)
    for note in (_index_note(manifest), *joins, _needed_note(manifest), _events_note(made)):
        if note:
            out.print(note, highlight=False, soft_wrap=True)
    out.print(f"serve it: crosstower serve {place}", highlight=False, soft_wrap=True)


def _index_note(manifest: BundleManifest) -> str:
    """Return the recall of the approximate index, and whether it was too low to be used."""
    recall = manifest.index_recall
    if recall is None:
        return ""
    if manifest.index == "exact":
        return (
            f"The index is exact: an approximate one has recall@10 {recall:.3f} on these vectors,"
            " below 0.95; --index ann uses it anyway."
        )
    kind = "approximate" if manifest.index == "ann" else manifest.index
    return f"The {kind} index has recall@10 {recall:.3f}."


def _events_note(made: Bundle) -> str:
    """Return how to name the types of events that act on lists, if there are none."""
    if made.event_types or made.retrieval is None:
        return ""
    section = made.retrieval.recipe.retrieval
    if section is None or section.user is None:
        return ""
    if section.history.column is None and not section.exclude_seen:
        return ""
    return (
        "Events change no list: name the types that extend histories, such as --history-event"
        " click, or events: [click] in retrieval.history of the recipe."
    )


def _needed_note(manifest: BundleManifest) -> str:
    """Return the columns that every request must give, if there are any."""
    if not (needed := manifest.needed_columns):
        return ""
    return (
        f"Every request must give {' and '.join(map(repr, needed))} in its query (null if unknown):"
        " the ranker reads them, and neither the items nor the user's columns have them. To avoid"
        " this, put them into retrieval.items, or join a table that has them (data.joins)."
    )
