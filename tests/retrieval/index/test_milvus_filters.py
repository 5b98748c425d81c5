"""Conditions in the language of Milvus."""

import numpy as np
import polars as pl
import pytest

from crosstower.retrieval.index.milvus_filters import kinds_of, milvus_filter

pytestmark = pytest.mark.filterwarnings("ignore")  # of the engine's own packages
N, D = 200, 8
RANDOM = np.random.default_rng(0)
ATTRIBUTES = pl.DataFrame(
    {
        "city": [["Paris", "Rome", None][i] for i in RANDOM.integers(0, 3, N)],
        "price": [None if i % 9 == 0 else float(i) for i in range(N)],
        "pool": RANDOM.random(N) < 0.5,
        "tags": [["a", "b"][: i % 3] for i in range(N)],
    },
    schema_overrides={"tags": pl.List(pl.String)},
)


def test_a_quote_in_a_value_stays_a_value() -> None:
    found = milvus_filter("""city == 'a" or 1 == 1 or "'""", {"city": pl.String()})
    assert found == r'(exists attributes["city"] and attributes["city"] == "a\" or 1 == 1 or \"")'


def test_kinds_of_columns() -> None:
    assert kinds_of(ATTRIBUTES) == {
        "city": "text", "price": "number", "pool": "boolean", "tags": "list of text",
    }  # fmt: skip
