"""Groups and weights of training rows, as a batch holds them."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from crosstower.recipe.own_columns import GROUP, weight_name
from crosstower.recipe.schema import Schema
from crosstower.values.hashing import hash_ids


def encode_groups(schema: Schema, frame: pl.DataFrame) -> dict[str, Tensor]:
    """Return the groups `[B]` and the weights `[B, T]` that a cleaned frame holds, by name.

    A group is the hash of its text. Tasks without weights have the weight 1.
    """
    found = dict[str, Tensor]()
    if GROUP in frame.columns:
        found["groups"] = torch.from_numpy(hash_ids(frame[GROUP]).view(np.int64))
    names = [weight_name(task) for task in schema.tasks]
    if any(name in frame.columns for name in names):
        weights = np.ones((frame.height, len(names)), dtype=np.float32)
        for place, name in enumerate(names):
            if name in frame.columns:
                weights[:, place] = frame[name].to_numpy()
        found["weights"] = torch.from_numpy(weights)
    return found
