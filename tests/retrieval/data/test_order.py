"""Items of the future in a history."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.progress import no_progress
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.recipe.recipe import Recipe

SPLITS = ["train", "train", "valid", "test"]


def read(split: list[str], times: list[int], pooling: str) -> None:
    rows = pl.DataFrame(
        {
            "user": ["a"] * 4 + ["b"] * 4,
            "item": [1, 2, 3, 4, 2, 3, 4, 1],
            "time": [*times, 5, 6, 7, 8],
            "split": split + SPLITS,
        }
    )
    history = {"kind": "sequence", "table": "item", "max_len": 3, "pooling": pooling}
    recipe = Recipe.model_validate(
        {
            "name": "order",
            "data": {"split": {"kind": "column", "column": "split"}},
            "schema": {"columns": {"item": "categorical", "had": history}},
            "model": {"name": "two_tower", "item": ["item"]},
            "retrieval": {"item": "item", "user": "user", "time": "time", "history": "had"},
        }
    )
    job = check_recipe(recipe)[0]
    job.read(
        open_source(rows),
        spill=Path(),
        encoder=EncoderFit(recipe.schema_),
        on_progress=no_progress,
    )


@pytest.mark.parametrize(
    ("split", "times"),
    [
        (["train", "valid", "train", "test"], [1, 2, 3, 4]),
        (["train", "train", "test", "valid"], [1, 2, 3, 4]),
        (["valid", "train", "train", "test"], [1, 2, 3, 4]),
    ],
)
def test_items_of_the_future_are_refused(split: list[str], times: list[int]) -> None:
    with pytest.raises(DataError, match="rows would be in the history"):
        read(split, times, "hstu")
    read(split, times, "mean")  # has no order


@pytest.mark.parametrize(
    ("split", "times"),
    [
        (SPLITS, [1, 2, 3, 4]),
        (["train", "valid", "train", "test"], [1, 2, 2, 4]),  # at the same time
    ],
)
def test_earlier_items_and_those_of_the_same_time_are_history(
    split: list[str], times: list[int]
) -> None:
    read(split, times, "transformer")
