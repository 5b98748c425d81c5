"""Whether two retrievers have the same query tower, so that their item vectors can be mixed."""

from __future__ import annotations

from typing import Any

import torch

from crosstower.data.encoders.encoder import Encoder
from crosstower.recipe.kinds.coded import Coded
from crosstower.retrieval.data.tower_columns import tower_columns_of
from crosstower.retrieval.retriever import Retriever
from crosstower.values.codes import Vocabulary


def query_difference(first: Retriever, second: Retriever) -> str | None:
    """Return the first difference of two query towers as text, None if they are the same.

    The comparison covers the columns of the query and the history, the state of their encoders,
    the layers of the tower, and the embeddings that it reads.

    Args:
        first: a retriever.
        second: the retriever to compare it with.

    """
    sides = [tower_columns_of(retriever.run.recipe) for retriever in (first, second)]
    names = [[*side.query, *([side.history] if side.history else [])] for side in sides]
    if names[0] != names[1]:
        return f"it reads {', '.join(names[0])}, the other one {', '.join(names[1])}"
    scaled = [one.run.recipe.model.get("normalise", True) for one in (first, second)]
    if scaled[0] != scaled[1]:
        return f"model.normalise is {scaled[0]}, in the other one {scaled[1]}"
    for name in names[0]:
        if _learned(first.run.encoder, name) != _learned(second.run.encoder, name):
            return f"column '{name}' is encoded differently"
    return _difference(_tensors(first, names[0]), _tensors(second, names[0]))


def _learned(encoder: Encoder, name: str) -> tuple[Any, ...]:
    """Return a column, its state, and its table, as values that can be compared."""
    column = encoder.schema.columns[name]
    owner = (column.table or name) if isinstance(column, Coded) else name
    table = encoder.tables.get(owner)
    values = table.values.to_list() if isinstance(table, Vocabulary) else table
    return column, column.plain_state(encoder.states.get(name)), values


def _tensors(retriever: Retriever, columns: list[str]) -> dict[str, torch.Tensor]:
    """Return the weights that query vectors depend on, by name."""
    model, encoder = retriever.model, retriever.run.encoder
    found = {f"query_tower.{n}": value for n, value in model.query_tower.state_dict().items()}
    for place, field in enumerate(encoder.layout.lists):
        if field.name in columns and str(place) in model.embed.pools:
            pool = model.embed.pools[str(place)].state_dict()
            found |= {f"pooling of '{field.name}', {n}": value for n, value in pool.items()}
    fields = [*encoder.layout.codes, *encoder.layout.lists]
    read = {field.table for field in fields if field.name in columns}
    parameters: dict[str, torch.Tensor] = dict(model.embed.named_parameters())
    parameters |= {
        f"tables.{w}": p.get_buffer("vectors") for w, p in model.embed.propagated.items()
    }
    for parameter, parts in model.embed.code_rows().items():
        for part in parts:
            if part.table in read:
                rows = parameters[parameter][part.start : part.start + part.size]
                found[f"embeddings of '{part.table}'"] = rows.detach()
    return found


def _difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> str | None:
    for name in [*first, *second]:
        one, other = first.get(name), second.get(name)
        if one is None or other is None or not torch.equal(one.cpu(), other.cpu()):
            return f"its weights differ ({name})"
    return None
