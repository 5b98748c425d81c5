"""The two-tower model: the dot product of a query vector and an item vector.

Covington et al. 2016 and Yi et al. 2019. With tasks it is trained on labels (pointwise); in a
retrieval recipe it is trained on positives against sampled negatives.
"""

from __future__ import annotations

import math
from functools import partial
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.errors import RecipeError, did_you_mean
from crosstower.models.registry import register_model
from crosstower.nn.embedding import EmbeddingStore, Inputs
from crosstower.nn.inputs import by_head
from crosstower.nn.pooling import UNTRAINED
from crosstower.nn.propagated_rows import PropagatedRows
from crosstower.nn.towers import Tower
from crosstower.recipe.frozen import FrozenModel

COLDEST, HOTTEST = 0.01, 100.0
"""Range of a learned temperature, widened to include its initial value."""


@register_model("two_tower")
class TwoTower(nn.Module):
    """Two towers: logit = ⟨query, item⟩ / temperature + bias.

    Covington et al. 2016; Yi et al. 2019. There is one temperature and one bias per head.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = TwoTower(layout, TwoTower.Config(item=("item_id",), dim=8))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: `item` names an unknown column, or leaves a tower without columns; or a history
            is compared with the item, which would tie the towers together.

    """

    class Config(FrozenModel):
        """Options of the two-tower model."""

        item: tuple[str, ...] = Field(
            default=(), description="Columns of the item tower; the query tower reads all others."
        )
        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        dim: int = Field(default=32, ge=1, description="Width of the query and item vectors.")
        query_hidden: tuple[int, ...] = Field(
            default=(), description="Widths of the query tower's dense layers."
        )
        item_hidden: tuple[int, ...] = Field(
            default=(), description="Widths of the item tower's dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")
        normalise: bool = Field(default=True, description="Scale vectors to length 1.")
        temperature: float = Field(default=0.3, gt=0, description="Initial value, if learned.")
        learn_temperature: bool = Field(
            default=True, description="Within 0.01 to 100; a start outside widens the range."
        )
        user_weight: float | None = Field(
            default=None,
            ge=0,
            le=1,
            description="Weight g of the user's embedding in the query vector; the pooled history,"
            " times a trained matrix, has 1 - g (SimpleX). The query tower then reads a user column"
            " and a list column of width `dim`, and nothing else.",
        )
        graph_layers: int = Field(
            default=0,
            ge=0,
            le=8,
            description="In id-only retrieval: number of times that the vectors of users and"
            " items are passed through the graph of the training rows (LightGCN).",
        )

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout, self.dim = layout, config.dim
        query, item = _sides(layout, config.item)
        _check_pooling(layout)
        self.embed = EmbeddingStore(
            layout.codes, layout.lists, dim=config.embedding_dim, dropout=config.dropout
        )
        tower = partial(
            Tower,
            self.embed,
            layout,
            dim=config.dim,
            dropout=config.dropout,
            normalise=config.normalise,
        )
        if config.user_weight is not None:
            _check_mix(layout, query, self.embed, config)
        if config.graph_layers:
            _check_graph(layout, query, item, self.embed)
            self.embed.propagate(item[0], config.graph_layers)
        self.query_tower: Tower = tower(
            query, hidden=config.query_hidden, user_weight=config.user_weight
        )
        self.item_tower: Tower = tower(item, hidden=config.item_hidden)
        heads = max(len(layout.heads), 1)  # a retriever has no heads: one temperature, no bias
        start = math.log(config.temperature)
        self.log_temperature = nn.Parameter(torch.full((heads,), start), config.learn_temperature)
        self._range = min(start, math.log(COLDEST)), max(start, math.log(HOTTEST))
        self.bias = nn.Parameter(torch.zeros(len(layout.heads)))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        if self.embed.sharded:
            with self.embed.fetched(Inputs(batch.codes, batch.lists)):
                return self._logits(batch)
        return self._logits(batch)

    def _logits(self, batch: Batch) -> dict[str, Tensor]:
        score = (self.queries(batch) * self.items(batch)).sum(1, keepdim=True)
        score = score.expand(batch.codes.shape[0], 1)  # all rows of a request may share both towers
        return by_head(self.layout, score / self.temperature() + self.bias)

    @property
    def graph(self) -> PropagatedRows | None:
        """Vectors of users and items with `graph_layers`, None without."""
        found = list(self.embed.propagated.values())
        return cast("PropagatedRows", found[0]) if found else None

    def scale(self) -> Tensor:
        """Return 1 / temperature of the first head, the scale of a retriever's scores."""
        return 1.0 / self.temperature()[0]

    def temperature(self) -> Tensor:
        """Return the temperature of each head `[T]`.

        A learned one stays between `COLDEST` and `HOTTEST`, as CLIP limits its scale to 100
        (Radford et al. 2021): on separable data it would fall without end. The parameter itself is
        clamped, so that its gradient can lead it away from the limit again.
        """
        if self.training and self.log_temperature.requires_grad:
            with torch.no_grad():
                self.log_temperature.clamp_(*self._range)
        return self.log_temperature.clamp(*self._range).exp()

    def freeze_query_tower(self) -> None:
        """Freeze the parameters that query vectors depend on, so that only item vectors change.

        Frozen are the layers of the query tower, the pooling of its lists, and its embeddings,
        including the tables that it shares with the item tower.

        Raises:
            RecipeError: the item tower has no trainable parameters of its own.

        """
        self.query_tower.requires_grad_(requires_grad=False)
        self.embed.freeze(self.query_tower.column_names)
        fields = [name for name in self.embed.names if name in self.item_tower.column_names]
        layers = any(True for _ in self.item_tower.parameters())
        if not layers and not any(self.embed.is_trained(name) for name in fields):
            raise RecipeError(
                f"training.freeze: query_tower leaves nothing to train: the item tower has no"
                f" layers, and the embeddings of {', '.join(fields)} are shared with the query"
                " tower; remove the key, or train a model with model.item_hidden first"
            )

    def queries(self, batch: Batch) -> Tensor:
        """Return query vectors `[B, D]`; item columns of the batch are ignored."""
        return self._vectors(self.query_tower, batch)

    def each_query(self, batch: Batch) -> Tensor:
        """Return query vectors `[B, D]`, each the same to the last bit for any B."""
        return self.query_tower.each(self.embed, batch)

    def items(self, batch: Batch) -> Tensor:
        """Return item vectors `[B, D]`; query columns of the batch are ignored."""
        return self._vectors(self.item_tower, batch)

    def _vectors(self, tower: Tower, batch: Batch) -> Tensor:
        if not self.embed.sharded:
            return tower(self.embed, batch)
        with self.embed.fetched(Inputs(batch.codes, batch.lists, tower.column_names)):
            return tower(self.embed, batch)


def _sides(layout: Layout, item: tuple[str, ...]) -> tuple[list[str], list[str]]:
    columns = layout.columns()
    for name in item:
        if name not in columns:
            raise RecipeError(
                f"model.item: no column '{name}'{did_you_mean(name, columns)};"
                f" allowed: {', '.join(columns)}"
            )
    query = [name for name in columns if name not in item]
    if not item or not query:
        raise RecipeError(
            "model.item: name the columns of the item tower, at least one, and leave at least one"
            f" to the query tower; got [{', '.join(item)}] out of {', '.join(columns)}"
        )
    return query, list(item)


def _check_pooling(layout: Layout) -> None:
    """Reject a history whose vector depends on the item: query vectors are computed without one."""
    for field in layout.lists:
        if field.target is not None:
            raise RecipeError(
                f"column '{field.name}': pooling {field.pooling} compares it with '{field.target}',"
                " but a two-tower model computes query vectors without the item; set its pooling to"
                " attention, gru or mean here, and use target in a ranker"
            )


def _check_mix(
    layout: Layout, query: list[str], store: EmbeddingStore, config: TwoTower.Config
) -> None:
    """Reject a mix of user and history for a query tower that reads something else."""
    singles = [f.name for f in layout.codes if f.name in query]
    lists = [f.name for f in layout.lists if f.name in query]
    fits = len(singles) == len(lists) == 1 and len(query) == 2 and not config.query_hidden
    if fits and all(store.width(name) == config.dim for name in query):
        return
    raise RecipeError(
        "model.user_weight: needs a query tower of one user column and one list column, both of"
        f" width dim ({config.dim}), without query_hidden; it reads {', '.join(query)}: set"
        f" embedding_dim: {config.dim}, and drop the other columns, or drop user_weight"
    )


def _check_graph(layout: Layout, query: list[str], item: list[str], store: EmbeddingStore) -> None:
    """Reject a ranker, and towers that read something else than the ids of users and items."""
    if layout.heads:
        raise RecipeError(
            "model.graph_layers: is of retrieval, whose rows are pairs of users and items; remove"
            " it, or declare a retrieval section"
        )
    singles = {f.name for f in layout.codes}
    lists = {f.name for f in layout.lists if f.table == item[0] and f.pooling in UNTRAINED}
    users = [name for name in query if name in singles]
    fits = len(item) == 1 and item[0] in singles and {*query} <= {*users, *lists}
    if fits and len(users) <= 1 and all(store.width(n) == store.width(item[0]) for n in query):
        return
    raise RecipeError(
        "model.graph_layers: needs an item tower of one categorical column, and a query tower of a"
        f" user column, a history of the item's table with pooling {', '.join(UNTRAINED)}, or both,"
        f" all of one width; got item [{', '.join(item)}] and query [{', '.join(query)}]: drop"
        " graph_layers, or all other columns"
    )
