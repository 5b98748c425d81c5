"""Vectors that a retriever of ids alone starts from: the spectrum of its training pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from crosstower.errors import RecipeError
from crosstower.models.two_tower import TwoTower
from crosstower.nn.embedding import INIT_STD, EmbeddingStore
from crosstower.nn.rows import Share
from crosstower.nn.world import World
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Bag
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.spectrum import inverse_roots, right_vectors, scaled_pairs
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.values.codes import RESERVED_CODES

_KEY = "retrieval.start: spectral"


def check_spectral_start(recipe: Recipe) -> None:
    """Refuse `retrieval.start: spectral` where the vectors are not those of items and their bags.

    Raises:
        RecipeError: a tower reads other columns or has layers, both towers share a table, vectors
            are given, or their width is not that of the model.

    """
    section, sides = retrieval_section_of(recipe), tower_columns_of(recipe)
    if section.start != "spectral":
        return
    columns, model = recipe.schema_.columns, recipe.model
    bag = columns.get(sides.history or "")
    if not isinstance(bag, Bag) or bag.table is not None or sides.query:
        raise RecipeError(
            f"{_KEY}: needs a query of the user's items alone; set retrieval.history: COLUMN and"
            " declare it as {kind: bag}, without a table of another column"
        )
    (name, *others), given = sides.item, set(recipe.training.pretrained)
    if others or tuple(columns[name].sources(name)) != (section.item,):
        raise RecipeError(
            f"{_KEY}: needs an item tower of ids alone; set model.item to the column of"
            f" {section.item}"
        )
    layers = [key for key in ("query_hidden", "item_hidden", "graph_layers") if model.get(key)]
    if layers:
        raise RecipeError(f"{_KEY}: needs vectors without layers; drop model.{layers[0]}")
    if given & {name, sides.history}:
        raise RecipeError(f"{_KEY}: training.pretrained gives these vectors too; drop one of them")
    config = TwoTower.Config.model_validate({k: v for k, v in model.items() if k != "name"})
    for column in (columns[name], bag):
        width = getattr(column, "dim", None) or config.embedding_dim
        if width != config.dim:
            raise RecipeError(
                f"{_KEY}: needs embeddings as wide as the vectors, got {width} and model.dim"
                f" {config.dim}; set model.embedding_dim: {config.dim}"
            )


def start_from_spectrum(model: TwoTower, data: RetrievalData, world: World) -> None:
    """Write the spectrum of the training pairs into the tables of a new model.

    With V the right singular vectors of R̃ = D_U^-½ R D^-½, an item starts as its row of V, and as
    a part of a user's history as its row of D^-½ V: the query of a user x is then the low-pass
    filter x D^-½ V of GF-CF (Shen et al. 2021). Both are scaled to the size of random vectors.
    Items without a training pair keep random ones, and so do dimensions beyond the rank.

    Args:
        model: new, before its tables are divided; of several processes, with the rows of this one.
        data: of its training.
        world: of the training, whose first process computes the vectors.

    """
    encoder, history = data.query_encoder(), data.sides.history or ""
    pairs = _pairs(data)
    count = min(model.dim, min(pairs.shape) - 1)
    of_item, found = inverse_roots(pairs.sum(axis=0)), list[NDArray[np.float64]]()
    # The vectors of two machines can differ in their signs, so that one computes them.
    world.first(lambda: found.append(right_vectors(scaled_pairs(pairs), count)))
    own = found[0].T.copy() if found else np.zeros((pairs.shape[1], count))
    vectors = world.sum(torch.from_numpy(own))
    share, (item,) = Share(world.rank, world.size), data.sides.item
    fields = {field.name: field for field in (*model.layout.codes, *model.layout.lists)}
    codes = data.item_batch.codes[:, int(model.embed.places_of([item])[0])]
    _write(model.embed, fields[item].table, codes, vectors, share)
    parts = vectors * torch.from_numpy(of_item).unsqueeze(1)
    _write(model.embed, fields[history].table, encoder.codes[:-1], parts, share)


def _pairs(data: RetrievalData) -> Any:
    """Return the 0/1 matrix `[U, N]` of the training rows."""
    users, items = data.train.pairs(np.arange(len(data.rows.users)))
    shape = len(data.rows.users), len(data.items)
    matrix = sparse.csr_array((np.ones(len(users)), (users, items)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def _write(store: EmbeddingStore, table: str, codes: Tensor, vectors: Tensor, share: Share) -> None:
    """Write the vectors of items, as large as random ones, into the rows of their codes."""
    known = (codes >= RESERVED_CODES) & vectors.any(1)
    size = vectors[known].square().mean().sqrt().clamp(min=1e-12)
    scaled = (vectors[known] * (INIT_STD / size)).float()
    for width, parts in store.code_rows().items():
        for part in parts:
            if part.table == table:
                places = part.start + codes[known].long()
                store.write(width.rpartition(".")[2], places, scaled, share)
