"""Weights that the gates of a mixture of experts give, averaged over rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from crosstower.data.counters.counted_source import counted_source_of
from crosstower.data.sources.source import require_columns
from crosstower.errors import RunError
from crosstower.models.mmoe import MMoE
from crosstower.models.ple import PLE
from crosstower.nn.position_bias import WithoutBias
from crosstower.recipe.own_columns import raw_name

if TYPE_CHECKING:
    from crosstower.ranking.ranker import Ranker

_ROWS = 1_024


def gate_weights(ranker: Ranker, data: Any, by: str | None = None) -> pl.DataFrame:
    """Return the mean weight of each expert for each task.

    Args:
        ranker: with an mmoe or ple model.
        data: rows: a polars, pandas or Arrow table, or a path; labels are not needed.
        by: raw column by whose values the rows are grouped, such as a content type.

    Returns:
        `by` if given, `task`, `expert` from 0, `shared`, whether all tasks share the expert,
        `weight`, the mean over the rows, which sums to 1 per task, and `sd`, the standard deviation
        over the rows. Of a ple model they are the gates of the last level.

    Raises:
        RunError: the model has no gates of this kind.
        DataError: a column is missing, or a cell is bad.

    """
    model = ranker.model
    if isinstance(model, WithoutBias):
        model = model.main
    if not isinstance(model, (MMoE, PLE)):
        raise RunError(
            f"{ranker.run.folder}: {ranker.name} has no gates; train model: mmoe, or ple"
        )
    keys = [] if by is None else [by]
    rows = pl.concat(list(_weights(ranker, model, data, keys)))
    weight = pl.col("weight").cast(pl.Float64)
    shared = (pl.col("expert") >= model.specific_experts).alias("shared")
    means = rows.group_by(*keys, "task", "expert", shared, maintain_order=True).agg(
        weight.mean(), weight.std(ddof=0).alias("sd")
    )
    return means.sort(*keys, maintain_order=True) if keys else means


def _weights(
    ranker: Ranker, model: MMoE | PLE, data: Any, keys: list[str]
) -> Iterator[pl.DataFrame]:
    """Yield one row per row of the data, task and expert."""
    run = ranker.run
    cleaner = ranker.scorer().cleaner(extras=keys, on_bad_rows=run.recipe.data.on_bad_rows)
    source = counted_source_of(run.recipe, data)
    require_columns(source, cleaner.sources())
    for chunk in source.chunks(cleaner.sources()):
        frame = cleaner.clean(chunk)
        batch = ranker.encoder.encode(frame)
        for start in range(0, len(batch), _ROWS):
            with torch.inference_mode():
                found = model.gates(batch[start : start + _ROWS])
            for task, weights in found.items():
                count, experts = weights.shape
                part = pl.DataFrame(
                    {
                        "task": [task] * weights.numel(),
                        "expert": np.tile(np.arange(experts), count),
                        "weight": weights.numpy().ravel(),
                    }
                )
                if keys:
                    values = frame[raw_name(keys[0])].slice(start, count).alias(keys[0])
                    part = part.with_columns(values.gather(np.repeat(np.arange(count), experts)))
                yield part
