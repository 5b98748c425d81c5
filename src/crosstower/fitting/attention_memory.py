"""Notes about histories whose attention takes much memory."""

from __future__ import annotations

from crosstower.recipe.schema import Schema, Sequence

NOTED = 64
"""MiB of one history from which its attention is reported."""
_QUADRATIC = ("transformer", "bsarec", "hstu")


def attention_notes(schema: Schema) -> list[str]:
    """Return a sentence per history whose longest lists have large attention matrices.

    An encoder with attention over all pairs keeps `[heads, L, L]` numbers of 4 bytes per history
    and block, where L is the length of the longest history of the batch, at most `max_len`. One
    that reads times keeps `[L, L]` numbers of 8 bytes per history as well.

    >>> from crosstower.recipe.schema import Categorical
    >>> long = Sequence(table="item", max_len=10_000, pooling="bsarec")
    >>> print(*attention_notes(Schema(columns={"item": Categorical(), "had": long}, tasks={})))
    had: pooling bsarec takes up to 381 MiB per history of a batch and block, as memory and time ...

    Args:
        schema: of the recipe.

    """
    sequences = {n: c for n, c in schema.columns.items() if isinstance(c, Sequence)}
    found = {n: (c, _mebibytes(c)) for n, c in sequences.items() if c.pooling in _QUADRATIC}
    return [
        f"{name}: pooling {column.pooling} takes up to {size:,.0f} MiB per history of a batch and"
        f" block, as memory and time grow with the square of its length (max_len"
        f" {column.max_len:,}); set a lower max_len, or pooling target, gru or attention"
        for name, (column, size) in found.items()
        if size > NOTED
    ]


def _mebibytes(column: Sequence) -> float:
    times = 8 if column.times else 0
    return (4 * (column.heads or 1) + times) * column.max_len**2 / 2**20
