"""`crosstower index`, `search` and `similar`: query a retrieval run."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from crosstower.cli.options import (
    RETRIEVE,
    Count,
    IndexOptions,
    Json,
    Query,
    RunArgument,
    Seed,
    Where,
    pairs_of,
    parsed_query,
)

retrieval_app = typer.Typer()


@retrieval_app.command(
    rich_help_panel=RETRIEVE,
    epilog="Example: crosstower index runs/search --kind ann --storage bfloat16",
)
def index(
    run: RunArgument,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="exact, ann (approximate), milvus, pgvector or a custom engine."
        ),
    ] = "exact",
    storage: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="float32, bfloat16 or int8 (default: float32)."),
    ] = None,
    uri: Annotated[
        str | None, typer.Option(metavar="URI", help="Milvus: http://HOST:19530, or a file.")
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Milvus: collection (default: the run's name)."),
    ] = None,
    index_option: IndexOptions = None,
    as_json: Json = False,
) -> None:
    """Build the index of a retrieval run and print its recall@10 and speed."""
    from dataclasses import asdict

    from crosstower.cli.retrieval_tables import print_index
    from crosstower.retrieval.indexing import build_index
    from crosstower.retrieval.retriever import Retriever

    given = {"storage": storage, "uri": uri, "collection": collection}
    options = {name: value for name, value in given.items() if value is not None}
    facts = build_index(Retriever.open(run), kind=kind, options=options | pairs_of(index_option))
    if as_json:
        typer.echo(json.dumps(asdict(facts), indent=1))
    else:
        print_index(facts)


@retrieval_app.command(
    rich_help_panel=RETRIEVE,
    epilog='Example: crosstower search runs/search "warm winter coat" -k 5',
)
def search(
    run: RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Search text.")],
    k: Count = 10,
    where: Where = None,
    query: Query = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Find items for a text; the query needs a text column."""
    from crosstower.cli.retrieval_tables import print_hits
    from crosstower.retrieval.retriever import Retriever

    retriever = Retriever.open(run, seed=seed)
    print_hits(retriever.search(text, k=k, where=where, query=parsed_query(query)), as_json)


@retrieval_app.command(
    rich_help_panel=RETRIEVE, epilog="Example: crosstower similar runs/films --item 50 -k 5"
)
def similar(
    run: RunArgument,
    item: Annotated[str, typer.Option(metavar="ID", help="Item id.")],
    k: Count = 10,
    where: Where = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Find the items most similar to an item."""
    from crosstower.cli.retrieval_tables import print_hits
    from crosstower.retrieval.retriever import Retriever

    print_hits(Retriever.open(run, seed=seed).similar(item, k=k, where=where), as_json)
