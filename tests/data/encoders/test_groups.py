import polars as pl
import pytest
import torch

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError
from crosstower.recipe.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "columns": {"x": "numeric"},
        "tasks": {"click": {"kind": "binary", "sample_weight": "w"}, "seconds": "regression"},
    }
)
FRAME = pl.DataFrame(
    {
        "x": [1.0, 2.0, 3.0],
        "click": [0, 1, 1],
        "seconds": [1.0, 2.0, 3.0],
        "w": [0.0, 2.5, 1.0],
        "request": ["a", "b", "a"],
    }
)


def cleaner(**options: object) -> Cleaner:
    weights = SCHEMA.sample_weights()
    return Cleaner(SCHEMA, group="request", weights=weights, **options)  # type: ignore[arg-type]


def chunk(**columns: list[object]) -> Chunk:
    frame = FRAME.with_columns([pl.Series(n, v, strict=False) for n, v in columns.items()])
    return Chunk(frame, "rows.csv", 2, 0)


def test_a_batch_has_the_groups_and_weights_of_its_rows() -> None:
    frame = cleaner().clean(chunk())
    fit = EncoderFit(SCHEMA)
    fit.add(frame)
    batch = fit.finish().encode(frame)
    assert batch.weights is not None
    assert batch.weights.tolist() == [[0.0, 1.0], [2.5, 1.0], [1.0, 1.0]]
    assert batch.groups is not None
    assert batch.groups.dtype == torch.int64
    first, other, same = batch.groups.tolist()
    assert first == same != other


def test_a_frame_without_them_gives_a_batch_without_them() -> None:
    frame = Cleaner(SCHEMA).clean(chunk())
    fit = EncoderFit(SCHEMA)
    fit.add(frame)
    assert fit.finish().encode(frame).extras() == {}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"w": [1.0, -0.5, 1.0]},
            r"column 'w': expected a weight of at least 0, got -0.5 in r",
        ),
        (
            {"w": [1.0, 1.0, None]},
            r"column 'w': expected a .* got None in row 4 of rows.csv",
        ),
        ({"w": [float("inf"), 1.0, 1.0]}, r"column 'w': expected .* got inf in row 2"),
        (
            {"w": [1e15, 1.0, 1e300]},
            r"column 'w': expected a weight from 0 to 1e\+15, got 1e\+300 in row 4 of rows.csv",
        ),
        ({"request": ["a", None, "b"]}, r"column 'request': expected the id of a group, got None"),
    ],
)
def test_a_missing_negative_or_huge_value_is_refused_with_its_row(
    columns: dict[str, list[object]], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        cleaner().clean(chunk(**columns))


def test_bad_rows_may_be_skipped_and_are_counted() -> None:
    skipping = cleaner(on_bad_rows="skip")
    assert skipping.clean(chunk(w=[-1.0, 1.0, 1.0])).height == 2
    assert skipping.skipped["w"] == 1
