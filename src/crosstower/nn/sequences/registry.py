"""Encoders of histories by name: a new one is a file here with `@register_sequence`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from crosstower.errors import RecipeError
from crosstower.recipe.registry import Registry, itself

SEQUENCES = Registry[Any]("pooling", package="crosstower.nn.sequences")

register_sequence = SEQUENCES.decorator(
    "register_sequence",
    itself,
    doc="""Return a decorator that registers an encoder of histories, an `nn.Module`.

    It is built with the width and the largest length of a history, and by name `dropout` and its
    options. `forward(rows, steps)` takes embeddings `[B, L, D]` and `Steps`, and returns
    `[B, L, D]`; no value depends on a later one. A retriever with such a history is
    trained at every position of it.

    Args:
        name: value of a sequence column's `pooling`.

    Raises:
        RecipeError: another module has registered the name.

    """,
)


def build_sequence(
    name: str, width: int, length: int, *, dropout: float, options: Mapping[str, Any], where: str
) -> nn.Module:
    """Return a new encoder.

    >>> import torch
    >>> from crosstower.nn.sequences.steps import Steps
    >>> where, options = "schema.columns.history", {"heads": 2}
    >>> encoder = build_sequence("bsarec", 8, 5, dropout=0.0, options=options, where=where)
    >>> encoder(torch.zeros(1, 5, 8), Steps.of(torch.ones(1, 5, dtype=torch.bool))).shape
    torch.Size([1, 5, 8])
    >>> build_sequence("bsarec", 8, 5, dropout=0.0, options={"head": 2}, where=where)
    Traceback (most recent call last):
    crosstower.errors.RecipeError: schema.columns.history.head: pooling bsarec has no such option...

    Args:
        name: of the encoder.
        width: D.
        length: largest number of values of a history.
        dropout: within the encoder, in [0, 1).
        options: options of the encoder that a recipe gives.
        where: the key of the recipe that declares the column, for messages.

    Raises:
        RecipeError: there is no such encoder, or it has no such option.

    """
    kind = SEQUENCES.get(name, where=f"{where}.pooling")
    return built(kind, name, width, length, dropout=dropout, options=options, where=where)


def built(
    kind: Any,
    name: str,
    width: int,
    length: int,
    *,
    dropout: float,
    options: Mapping[str, Any],
    where: str,
) -> nn.Module:
    """Return a new module of a class whose options are keyword arguments; else as above.

    Raises:
        RecipeError: the class has no such option, or a value does not fit.

    """
    known = inspect.signature(kind).parameters.values()
    allowed = [p.name for p in known if p.kind is p.KEYWORD_ONLY and p.name != "dropout"]
    for option in options:
        if option not in allowed:
            raise RecipeError(
                f"{where}.{option}: pooling {name} has no such option; allowed:"
                f" {', '.join(allowed) or 'none'}"
            )
    try:
        return kind(width, length, dropout=dropout, **options)
    except RecipeError as error:
        raise RecipeError(f"{where}.{error}") from None
