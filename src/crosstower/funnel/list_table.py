"""A list of items as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from crosstower.funnel.online.request import Ranked
from crosstower.ranking.scorer import BLEND_SCORE, PREDICTION
from crosstower.recipe.own_columns import attribute_names
from crosstower.retrieval.index.catalogue import Catalogue


def list_table(found: Ranked, catalogue: Catalogue, item_column: str) -> pl.DataFrame:
    """Return a result of the online funnel as a table, with the attributes of items.

    Args:
        found: candidates in order.
        catalogue: of the items.
        item_column: data column of the id, which the table has as `item_id`.

    """
    columns: dict[str, Any] = {
        "rank": np.arange(1, len(found.places) + 1),
        "item_id": catalogue.ids.gather(found.places),
        "score": found.score,
        "retrieval_score": found.retrieval_score,
        "retrieval_rank": found.retrieval_rank,
    }
    if found.sources is not None:
        columns["sources"] = found.sources.series()
    columns |= {f"{task}{PREDICTION}": p for task, p in found.predictions.items()}
    if found.blend_score is not None:
        columns[BLEND_SCORE] = found.blend_score
    attributes = catalogue.attributes[found.places]
    attributes = attributes.select(c for c in attributes.columns if c != item_column)
    attributes = attributes.rename(attribute_names(attributes.columns, [*columns]))
    rank = pl.col("retrieval_rank")
    frame = pl.DataFrame(columns).with_columns(
        pl.col("retrieval_score").cast(pl.Float32), pl.when(rank != 0).then(rank)
    )
    return pl.concat([frame, attributes], how="horizontal")
