import numpy as np
import polars as pl

from crosstower.funnel.list_table import list_table
from crosstower.funnel.online.request import Ranked
from crosstower.retrieval.index.catalogue import Catalogue


def test_a_list_has_scores_and_attributes_and_no_rank_of_what_rules_added() -> None:
    catalogue = Catalogue(["a", "b", "c"], pl.DataFrame({"id": ["a", "b", "c"], "rank": [7, 8, 9]}))
    found = Ranked(
        places=np.array([2, 0]),
        score=np.array([0.5, 0.4]),
        retrieval_rank=np.array([0, 1]),
        retrieval_score=np.array([0.1, 0.2]),
        predictions={"click": np.array([0.5, 0.4])},
    )
    table = list_table(found, catalogue, "id")
    assert table.to_dicts() == [
        {"rank": 1, "item_id": "c", "score": 0.5, "retrieval_score": float(np.float32(0.1)),
         "retrieval_rank": None, "click__prediction": 0.5, "rank__item": 9},
        {"rank": 2, "item_id": "a", "score": 0.4, "retrieval_score": float(np.float32(0.2)),
         "retrieval_rank": 1, "click__prediction": 0.4, "rank__item": 7},
    ]  # fmt: skip
