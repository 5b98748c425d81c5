"""The two passes over the rows of a ranker: what is learned of which rows, and who gets them."""

import polars as pl
import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.sources.source import FrameSource
from crosstower.data.split import Splitter, fit_splitter
from crosstower.ranking.row_passes import RowReading, encode, learn
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import ColumnSplit

SCHEMA = Schema.model_validate({"columns": {"user": "categorical"}, "tasks": {"click": "binary"}})
FRAME = pl.DataFrame(
    {
        "user": ["a", "b", "a", "c", "d", "b"],
        "click": [0, 1, 1, 0, 0, 1],
        "part": ["train", "train", "valid", "valid", "test", "test"],
    }
)


class Kept:
    """A sink that keeps its blocks."""

    def __init__(self) -> None:
        self.blocks = list[Batch]()

    def add(self, block: Batch) -> None:
        self.blocks.append(block)


@pytest.fixture(params=[True, False], ids=["ahead", "in turn"])
def reading(request: pytest.FixtureRequest) -> RowReading:
    source = FrameSource(FRAME)
    splitter: Splitter = fit_splitter(ColumnSplit(column="part"), source)
    return RowReading(
        source, FRAME.columns, Cleaner(SCHEMA, ["part"]), splitter, ahead=request.param
    )


def test_only_training_rows_are_learned(reading: RowReading) -> None:
    fit = EncoderFit(SCHEMA)
    learn(reading, fit)
    assert fit.finish().tables["user"].values.to_list() == ["a", "b"]  # type: ignore[union-attr]


def test_rows_go_to_the_sinks_of_their_splits(reading: RowReading) -> None:
    fit = EncoderFit(SCHEMA)
    learn(reading, fit)
    sinks = {split: Kept() for split in ("train", "valid", "test")}
    targets, census = encode(reading, fit.finish(), ["part"], sinks)
    codes = {s: torch.cat([b.codes for b in k.blocks]).flatten() for s, k in sinks.items()}
    assert {s: c.tolist() for s, c in codes.items()} == {
        "train": [3, 4],
        "valid": [3, 2],  # c is not among the training rows
        "test": [2, 4],
    }
    assert dict(census.rows) == {"train": 2, "valid": 2, "test": 2}
    assert pl.concat(targets["test"]).to_dict(as_series=False) == {
        "part": ["test", "test"],
        "click": [0.0, 1.0],
    }
