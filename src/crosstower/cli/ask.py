"""The commands that ask a retrieval run: index, recommend, search, similar."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from crosstower.cli.options import Count, Json, Query, RunArgument, Seed, Where

ask_app = typer.Typer()


@ask_app.command(epilog="Example: crosstower index runs/search --kind ann --storage bfloat16")
def index(
    run: RunArgument,
    kind: Annotated[str, typer.Option(help="exact, ann (approximate) or milvus.")] = "exact",
    storage: Annotated[str, typer.Option(help="float32, bfloat16 or int8.")] = "float32",
    uri: Annotated[
        str | None, typer.Option(help="Of Milvus: http://HOST:19530, or a file.")
    ] = None,
    collection: Annotated[str | None, typer.Option(help="In Milvus; the recipe's name.")] = None,
    as_json: Json = False,
) -> None:
    """Build the index of a retrieval run; print its recall@10 against exact and its speed."""
    from dataclasses import asdict

    from crosstower.cli.retrieval import checked_index_options, print_index
    from crosstower.retrieval.build_index import build_index
    from crosstower.retrieval.retriever import Retriever

    options = checked_index_options(kind, storage)
    facts = build_index(Retriever.open(run), **options, uri=uri, collection=collection)
    if as_json:
        typer.echo(json.dumps(asdict(facts), indent=1))
    else:
        print_index(facts)


@ask_app.command(
    epilog='Example: crosstower recommend runs/films --user 42 -k 5 --where "year >= 1990"'
)
def recommend(
    run: RunArgument,
    user: Annotated[
        str | None, typer.Option(help="Id of a user; an unknown one has no history.")
    ] = None,
    k: Count = 10,
    where: Where = None,
    query: Query = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Recommend items for a user or a query, excluding the user's history."""
    from crosstower.cli.retrieval import nothing_left, parsed_query, print_hits
    from crosstower.retrieval.retriever import Retriever

    retriever = Retriever.open(run, seed=seed)
    found = retriever.recommend(user, k=k, where=where, query=parsed_query(query))
    print_hits(found, as_json, nothing=nothing_left(retriever, user, where))


@ask_app.command(epilog='Example: crosstower search runs/search "warm winter coat" -k 5')
def search(
    run: RunArgument,
    text: Annotated[str, typer.Argument(help="What to look for.")],
    k: Count = 10,
    where: Where = None,
    query: Query = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Find items for a text; the recipe's query needs a text column."""
    from crosstower.cli.retrieval import parsed_query, print_hits
    from crosstower.retrieval.retriever import Retriever

    retriever = Retriever.open(run, seed=seed)
    print_hits(retriever.search(text, k=k, where=where, query=parsed_query(query)), as_json)


@ask_app.command(epilog="Example: crosstower similar runs/films --item 50 -k 5")
def similar(
    run: RunArgument,
    item: Annotated[str, typer.Option(help="Id of an item.")],
    k: Count = 10,
    where: Where = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Find the items that are most similar to an item."""
    from crosstower.cli.retrieval import print_hits
    from crosstower.retrieval.retriever import Retriever

    print_hits(Retriever.open(run, seed=seed).similar(item, k=k, where=where), as_json)
