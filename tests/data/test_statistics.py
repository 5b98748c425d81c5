"""Rows, labels and repeats counted chunk by chunk."""

import numpy as np
import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.sources.source import Chunk
from crosstower.data.statistics import DatasetCounter, DatasetStats
from crosstower.errors import DataError
from crosstower.recipe.own_columns import ROW, label_name
from crosstower.recipe.schema import Schema

SCHEMA = Schema.model_validate(
    {"columns": {"user": "categorical"}, "tasks": {"click": "binary", "stars": "regression"}}
)
SPLITS = ["train", "train", "train", "valid", "valid", "test", "test"]


def counted(
    click: list[int | None],
    stars: list[float | None] | None = None,
    users: list[int] | None = None,
    splits: list[str] | None = None,
    cuts: tuple[int, ...] = (7,),
) -> DatasetCounter:
    """Count rows, a chunk of them after the other."""
    names = splits or SPLITS
    frame = Cleaner(SCHEMA).clean(
        Chunk(
            pl.DataFrame(
                {
                    "user": users or list(range(len(click))),
                    "click": pl.Series(click, dtype=pl.Int64),
                    "stars": stars or [float(i) for i in range(len(click))],
                }
            ),
            "rows", 0, 0,
        )
    )  # fmt: skip
    fit = EncoderFit(SCHEMA)
    fit.add(frame)
    encoder, found, start = fit.finish(), DatasetCounter(), 0
    for end in cuts:
        part, at = frame[start:end], np.array(names[start:end])
        labels = pl.DataFrame({t: part[label_name(t)] for t in SCHEMA.tasks})
        rows = {s: np.flatnonzero(at == s) for s in ("train", "valid", "test")}
        numbers = part[ROW].to_numpy()
        found.add(labels, encoder.encode(part), rows, encoder, numbers=numbers)
        start = end
    return found


def stats_of(counter: DatasetCounter) -> DatasetStats:
    return counter.finish(source="rows", split="random")[0]


CLICKS: list[int | None] = [0, 1, 1, 0, 1, 1, 0]


def test_rows_and_base_rates_are_by_split_whatever_the_chunks() -> None:
    once = stats_of(counted(CLICKS))
    assert once.rows == {"train": 3, "valid": 2, "test": 2}
    assert once.base_rates["click"] == pytest.approx({"train": 2 / 3, "valid": 0.5, "test": 0.5})
    assert once.base_rates["stars"]["train"] == pytest.approx(1.0)
    assert stats_of(counted(CLICKS, cuts=(2, 4, 7))) == once


def test_other_rows_have_another_fingerprint() -> None:
    one, other = counted(CLICKS), counted(CLICKS, users=[9, 1, 2, 3, 4, 5, 6])
    assert stats_of(one).fingerprint != stats_of(other).fingerprint


def test_rows_without_a_label_and_repeats_are_noted() -> None:
    found = counted([0, 1, None, 0, 1, 1, 0], users=[0, 1, 2, 0, 4, 1, 6])
    found.skipped["age"] = 4
    notes = " ".join(stats_of(found).notes)
    assert "click: 1 of 3 train rows have no label" in notes
    assert "50.0% of the valid and test rows have the inputs of a training row" in notes
    assert "4 rows left out for 'age'" in notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"splits": [*SPLITS[:5], "train", "train"]}, "the test split holds no rows"),
        ({"click": [0, 1, 1, None, None, 1, 0]}, "'click': no row of the valid split has a label"),
        ({"click": [1, 1, 1, 0, 1, 1, 0]}, "'click': all 3 labels of the train split are 1"),
        ({"stars": [2.0, 2.0, 2.0, 1.0, 3.0, 1.0, 2.0]}, "'stars': all 3 labels of the train"),
    ],
)
def test_a_split_that_cannot_be_learnt_from_is_refused(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        counted(**({"click": CLICKS} | change)).check(SCHEMA)  # type: ignore[arg-type]


def test_good_rows_pass() -> None:
    counted(CLICKS).check(SCHEMA)
