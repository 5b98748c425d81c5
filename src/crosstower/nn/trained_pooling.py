"""Pooling with weights by name: layers that give one vector, and encoders read at a value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from crosstower.data.layout import PADDING, ListField
from crosstower.data.prefixes import Prefixes
from crosstower.errors import RecipeError
from crosstower.nn.bst import BehaviourTransformer
from crosstower.nn.pooling import TRAINED, UNTRAINED
from crosstower.nn.sequences.registry import SEQUENCES, build_sequence, built
from crosstower.nn.sequences.steps import Steps, newest
from crosstower.nn.target_attention import TargetAttention
from crosstower.nn.target_hstu import TargetHstu

TARGETED: dict[str, type[TargetAttention | BehaviourTransformer | TargetHstu]] = {
    "target": TargetAttention,
    "bst": BehaviourTransformer,
    "hstu": TargetHstu,
}
"""Poolings of a list with a `target`, the row's own value that it is compared with."""

_WEIGHTED = {*TRAINED, *TARGETED} - {"hstu"}
"""Poolings with weights that are not an encoder of every position."""


class SequencePool(nn.Module):
    """An encoder of `nn.sequences`, read at the newest value, or at the end of each prefix.

    >>> pool = SequencePool(build_sequence("hstu", 4, 3, dropout=0.0, options={}, where="history"))
    >>> present = torch.tensor([[True, True, False], [False, False, False]])
    >>> pool(torch.ones(2, 3, 4), present)[1].tolist()  # an empty list
    [0.0, 0.0, 0.0, 0.0]

    Args:
        encoder: gives a vector per value.

    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, rows: Tensor, present: Tensor, ages: Tensor | None = None) -> Tensor:
        """Return `[B, D]` for lists of B rows; zeros for an empty list.

        Args:
            rows: `[B, L, D]`.
            present: `[B, L]`, False for padding.
            ages: `[B, L]`, seconds from each value's event to the row; None without times.

        """
        return newest(self.encoder(rows, Steps.of(present, ages=ages)), present)

    def prefixes(self, rows: Tensor, lists: Prefixes, ages: Tensor | None = None) -> Tensor:
        """Return `[B, D]` for lists that share their values; each value is encoded once.

        Args:
            rows: `[P, L, D]`, embeddings of `lists.values`.
            lists: B prefixes.
            ages: `[P, L]`, seconds from each value's event to the row after its whole list; None
                without times.

        """
        steps = Steps.of(lists.values != PADDING, lists.first, ages)
        outputs = self.encoder(rows, steps).flatten(0, 1)
        found = outputs[lists.newest.clamp(min=0)]
        return torch.where((lists.newest >= 0).unsqueeze(1), found, 0.0)


def build_pooling(field: ListField, width: int, *, dropout: float) -> nn.Module | None:
    """Return a new module that pools a list field; None if the pooling has no weights.

    >>> history = ListField("history", size=50, table="item", length=3, pooling="gru")
    >>> pool = build_pooling(history, 4, dropout=0.0)
    >>> pool(torch.zeros(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)).shape
    torch.Size([2, 4])
    >>> build_pooling(ListField("tags", 50, "tags", 3), 4, dropout=0.0) is None  # the mean
    True

    Args:
        field: names the pooling and its options.
        width: D.
        dropout: within the module, in [0, 1).

    Raises:
        RecipeError: there is no such pooling, or it has no such option.

    """
    name, where = field.pooling, f"schema.columns.{field.name}"
    options: dict[str, Any] = dict(field.options)
    if field.ages is not None:
        options["times"] = True
    if field.target is not None or name in ("target", "bst"):
        kind = TARGETED.get(name)
        if kind is None or field.target is None:
            raise RecipeError(
                f"{where}.pooling: {name} with target {field.target!r}; expected one of"
                f" {', '.join(TARGETED)} and a column of the same table"
            )
        return built(kind, name, width, field.length, dropout=dropout, options=options, where=where)
    if name not in UNTRAINED and name not in _WEIGHTED:
        if SEQUENCES.find(name) is None:
            allowed = [*UNTRAINED, *_WEIGHTED, *SEQUENCES.names()]
            raise RecipeError(f"{where}.pooling: {SEQUENCES.unknown(name, allowed)}")
        encoder = build_sequence(
            name, width, field.length, dropout=dropout, options=options, where=where
        )
        return SequencePool(encoder)
    for option in options:
        raise RecipeError(
            f"{where}.{option}: pooling {name} has no such option; drop it, or use a pooling of"
            f" {', '.join(SEQUENCES.names())}"
        )
    kind = TRAINED.get(name)
    return None if kind is None else kind(width, field.length, dropout=dropout)


def trains_every_position(pooling: str) -> bool:
    """Return whether a retriever with such a history learns from all its positions at once.

    >>> [name for name in ("mean", "gru", "transformer", "hstu") if trains_every_position(name)]
    ['transformer', 'hstu']
    """
    known = pooling in UNTRAINED or pooling in _WEIGHTED
    return not known and SEQUENCES.find(pooling) is not None
