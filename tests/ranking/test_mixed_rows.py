import numpy as np
import polars as pl
import torch

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.ragged import padded
from crosstower.data.sources.source import Chunk
from crosstower.ranking.mixed_rows import ColumnMixer, with_layout
from crosstower.recipe.schema import Schema

COLUMNS = {
    "user": "categorical",
    "item": "categorical",
    "pair": {"kind": "cross", "columns": ["user", "item"], "hash_buckets": 50},
    "age": "numeric",
    "tags": "bag",
    "vector": {"kind": "vector", "width": 2},
}
FRAME = pl.DataFrame(
    {
        "user": ["a", "b", "c", "a"],
        "item": [1, 2, 3, 3],
        "age": [1.0, 2.0, None, 4.0],
        "tags": [["x"], ["y", "z"], [], ["x", "y"]],
        "vector": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]],
    }
)


def cleaned(schema: Schema, frame: pl.DataFrame) -> pl.DataFrame:
    return Cleaner(schema, with_labels=False).clean(Chunk(frame, "rows", 0, 0))


def encoder() -> tuple[Schema, Encoder]:
    schema = Schema.model_validate({"columns": COLUMNS})
    fit = EncoderFit(schema)
    fit.add(cleaned(schema, FRAME))
    return schema, fit.finish()


def test_mixed_rows_are_those_that_raw_cells_would_give() -> None:
    schema, fitted = encoder()
    mixer = ColumnMixer(fitted)
    assert set(mixer.columns) == {"user", "item", "age", "tags", "vector"}
    source = np.random.default_rng(0).integers(0, 4, (30, 5))
    places = zip(mixer.columns, source.T, strict=True)
    raw = {name: FRAME[name].gather(chosen) for name, chosen in places}
    found = mixer.mix(fitted.encode(cleaned(schema, FRAME)), source)
    expected = fitted.encode(cleaned(schema, pl.DataFrame(raw)))
    assert torch.equal(found.codes, expected.codes)  # crosses among them
    assert torch.equal(found.numbers, expected.numbers)
    assert padded(found.lists["tags"]).tolist() == padded(expected.lists["tags"]).tolist()


def test_rows_keep_the_columns_of_another_layout() -> None:
    schema, fitted = encoder()
    served = fitted.without(["item", "pair", "age"])
    rows = fitted.encode(cleaned(schema, FRAME))
    found = with_layout(rows, fitted.layout, served.layout)
    expected = served.encode(cleaned(served.schema, FRAME))
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.numbers, expected.numbers)
    assert list(found.lists) == list(expected.lists) == ["tags"]
    assert with_layout(rows, fitted.layout, fitted.layout) is rows
