"""The error of a request whose candidates the ranker cannot read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from crosstower.data.cleaning.cleaner import Cleaner
from crosstower.data.sources.source import Source
from crosstower.errors import DataError, QueryError
from crosstower.recipe.schema import Schema


def unreadable_error(
    source: Source,
    schema: Schema,
    amounts: Sequence[str],
    skipped: Mapping[str, int],
    is_of_query: Callable[[str], bool],
    *,
    rows: int,
) -> QueryError:
    """Return the error of candidates that were all skipped, by the column most at fault.

    Args:
        source: the candidates, all of one query.
        schema: of the ranker.
        amounts: columns that must hold a finite number of at least 0.
        skipped: rows left out by column.
        is_of_query: tells columns of the query from those of items.
        rows: how many candidates there are.

    """
    of_query, count, name = max((is_of_query(n), count, n) for n, count in skipped.items())
    reason = f"column '{name}'"
    at_fault = [n for n in schema.columns if name in schema.part([n]).sources()]
    own = [n for n in amounts if n == name]
    cleaner = Cleaner(schema.part(at_fault), with_labels=False, amounts=own)
    try:
        for chunk in source.chunks(cleaner.sources()):
            cleaner.clean(chunk)
    except DataError as error:  # of rows of ours, whose numbers say nothing
        reason = str(error).partition(" in row ")[0]
    whose = "of the query; give another" if of_query else "of an item; repair the items"
    return QueryError(
        f"the ranker can read no candidate ({count:,} of {rows:,} left out for"
        f" '{name}', by data.on_bad_rows: skip): {reason}, a value {whose}"
    )
