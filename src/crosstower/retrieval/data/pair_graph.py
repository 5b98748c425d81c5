"""The graph of users and items in the training rows, for a model with `graph_layers`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from crosstower.data.layout import RESERVED_CODES
from crosstower.errors import RecipeError
from crosstower.models.two_tower import TwoTower
from crosstower.nn.world import World
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of


def check_graph(recipe: Recipe, world: World) -> None:
    """Reject a recipe with `model.graph_layers` whose rows give no graph of users and items.

    Raises:
        RecipeError: there are no users, a tower reads another column than their ids, or several
            processes train.

    """
    if not recipe.model.get("graph_layers"):
        return
    section, sides = retrieval_section_of(recipe), tower_columns_of(recipe)
    if section.user is None:
        raise RecipeError(
            "model.graph_layers: passes vectors between users and items; set retrieval.user, or"
            " remove it"
        )
    if world.size > 1:
        raise RecipeError(
            f"model.graph_layers: needs all vectors in one process, and {world.size} processes were"
            " started, which divide them; use one process"
        )
    for names, column in ((sides.item, section.item), (sides.query, section.user)):
        for name in names:
            sources = recipe.schema_.columns[name].sources(name)
            if tuple(sources) != (column,):
                raise RecipeError(
                    f"model.graph_layers: its graph joins {section.user} and {section.item}, but a"
                    f" tower reads the column '{name}'; remove that column, or graph_layers"
                )


def connect(model: TwoTower, data: RetrievalData) -> None:
    """Give a model with `graph_layers` the graph of the training rows.

    Nodes are the rows of the item's table, and of the user's if the query tower reads the user.
    Otherwise each user is a node without a vector of its own. Values that training has not seen,
    which share a row, have no edge.

    Args:
        model: new; nothing changes without `graph_layers`.
        data: of its training.

    """
    if model.graph is None:
        return
    items = _nodes(model, data.item_batch.codes, data.sides.item[0])[data.train.items]
    users = np.repeat(np.arange(len(data.rows.users)), data.train.lengths())
    rows = len(model.graph.vectors)
    if data.sides.query:
        wide = data.query_encoder().side.widen(data.queries)
        owners = _nodes(model, wide.codes, data.sides.query[0])
        nodes = rows
    else:
        owners, nodes = torch.from_numpy(rows + users), rows + len(data.rows.users)
    known = (items >= 0) & (owners >= 0)
    model.graph.connect(torch.stack([owners[known], items[known]]), nodes=nodes)


def _nodes(model: TwoTower, codes: Tensor, name: str) -> Tensor:
    """Return the row of the table for each code of a column; -1 for reserved codes."""
    column, offset = (int(place) for place in model.embed.places_of([name]))
    found = codes[:, column].long()
    return torch.where(found < RESERVED_CODES, -1, found + offset)
