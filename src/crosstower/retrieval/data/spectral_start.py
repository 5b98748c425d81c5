"""Initial vectors of an id-only retriever: the spectrum of its training pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.errors import RecipeError
from crosstower.models.two_tower import TwoTower
from crosstower.nn.embedding import INIT_STD, EmbeddingStore
from crosstower.nn.table_rows import Share
from crosstower.nn.world import World
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Bag, Categorical
from crosstower.retrieval.baselines.baseline import histories_of
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.spectrum import inverse_roots, right_vectors, scaled_pairs
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.values.codes import RESERVED_CODES

_KEY = "retrieval.start: spectral"


def check_spectral_start(recipe: Recipe) -> None:
    """Reject `retrieval.start: spectral` where the vectors are not those of items and their bags.

    Raises:
        RecipeError: a tower reads other columns or has layers, both towers or two items share
            vectors, vectors are given, or their width is not that of the model.

    """
    section, sides = retrieval_section_of(recipe), tower_columns_of(recipe)
    if section.start != "spectral":
        return
    columns, model = recipe.schema_.columns, recipe.model
    bag = columns.get(sides.history or "")
    if not isinstance(bag, Bag) or bag.table is not None or sides.query:
        raise RecipeError(
            f"{_KEY}: needs a query of only the user's items; set retrieval.history: COLUMN and"
            " declare it as {kind: bag}, without a table of another column"
        )
    item, *others = sides.item
    of_ids = isinstance(columns[item], Categorical) and not others
    if not of_ids or tuple(columns[item].sources(item)) != (section.item,):
        raise RecipeError(
            f"{_KEY}: needs an id-only item tower; set model.item to a categorical column"
            f" of {section.item}"
        )
    layers = [key for key in ("query_hidden", "item_hidden", "graph_layers") if model.get(key)]
    if layers:
        raise RecipeError(f"{_KEY}: needs vectors without layers; drop model.{layers[0]}")
    config = TwoTower.Config.model_validate({k: v for k, v in model.items() if k != "name"})
    for name in (item, sides.history or ""):
        _check_vectors(recipe, name, config)


def _check_vectors(recipe: Recipe, name: str, config: TwoTower.Config) -> None:
    """Reject a column whose values have no vectors of their own, of the model's width."""
    column: Any = recipe.schema_.columns[name]
    if column.hash_buckets is not None:
        raise RecipeError(
            f"{_KEY}: needs a vector per item, and items share hash buckets; drop"
            f" schema.columns.{name}.hash_buckets"
        )
    if name in recipe.training.pretrained:
        raise RecipeError(f"{_KEY}: training.pretrained.{name} gives these vectors too; drop one")
    if (width := column.dim or config.embedding_dim) != config.dim:
        raise RecipeError(
            f"{_KEY}: needs embeddings as wide as the vectors, got {width} and model.dim"
            f" {config.dim}; set model.embedding_dim: {config.dim}"
        )


def start_from_spectrum(model: TwoTower, data: RetrievalData, world: World) -> None:
    """Write the spectrum of the training pairs into the tables of a new model.

    With V the right singular vectors of R̃ = D_U^-½ R D^-½, an item starts as its row of V, and as
    a part of a user's history as its row of D^-½ V: the query of a user x is then the low-pass
    filter x D^-½ V of GF-CF (Shen et al. 2021). Both are scaled to the size of random vectors.
    Items without a training pair keep random ones, and so do dimensions beyond the rank of R̃.

    Args:
        model: new, before its tables are divided; of several processes, with the rows of this one.
        data: of its training.
        world: of the training, whose first process computes the vectors.

    """
    encoder, history = data.query_encoder(), data.sides.history or ""
    users, items = data.train.pairs(np.arange(len(data.rows.users)))
    pairs = histories_of(users, items, shape=(len(data.rows.users), len(data.items)))
    count = min(model.dim, min(pairs.shape) - 1)
    users_of, found = pairs.sum(axis=0), list[NDArray[np.float64]]()
    # The vectors of two machines can differ in their signs, so that one computes them.
    world.first(lambda: found.append(right_vectors(scaled_pairs(pairs), count)))
    own = np.zeros((pairs.shape[1], count))
    if found:
        own[:, : len(found[0])] = found[0].T
    vectors = world.sum(torch.from_numpy(own))
    vectors = vectors[:, vectors.any(0)]  # the rank may be lower
    share, (item,) = Share(world.rank, world.size), data.sides.item
    fields = {field.name: field for field in (*model.layout.codes, *model.layout.lists)}
    own_codes = data.item_batch.codes[:, int(model.embed.places_of([item])[0])]
    parts = vectors * torch.from_numpy(inverse_roots(users_of)).unsqueeze(1)
    sold = torch.from_numpy(users_of > 0)
    for table, codes, values in (
        (fields[item].table, own_codes, vectors),
        (fields[history].table, encoder.codes[:-1], parts),
    ):
        known = sold & (codes >= RESERVED_CODES)
        _write(model.embed, table, codes[known], values[known], share)


def _write(store: EmbeddingStore, table: str, codes: Tensor, vectors: Tensor, share: Share) -> None:
    """Write the vectors of items, as large as random ones, into the rows of their codes."""
    size = vectors.square().mean().sqrt().clamp(min=1e-12)
    scaled = (vectors * (INIT_STD / size)).float()
    for width, parts in store.code_rows().items():
        for part in parts:
            if part.table == table:
                places = part.start + codes.long()
                store.write(width.rpartition(".")[2], places, scaled, share)
