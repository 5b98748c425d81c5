"""What holds for every column kind: chunks, rows, order, missing cells, files and inputs."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import load_encoder, save_encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.row_encoder import RowEncoder
from crosstower.data.ragged import padded
from crosstower.data.sources.source import Chunk
from crosstower.recipe.kinds.registry import COLUMNS
from crosstower.recipe.schema import Schema

KINDS: dict[str, dict[str, Any]] = {
    "bag": {"c": {"kind": "bag", "source": "tags"}},
    "calendar": {"c": {"kind": "calendar", "part": "hour", "source": "at"}},
    "categorical": {"c": {"kind": "categorical", "source": "city"}},
    "counter": {
        "c": {"kind": "counter", "event": "click", "by": "city", "window": "1h"},
        "r": {"kind": "counter", "event": "click", "per": "view", "by": "city", "window": "1h"},
    },
    "cross": {
        "a": {"kind": "categorical", "source": "city"},
        "b": {"kind": "numeric", "transform": "bucketise", "source": "x"},
        "c": {"kind": "cross", "columns": ["a", "b"], "hash_buckets": 40},
    },
    "distance": {"c": {"kind": "distance", "origin": ["x", "y"], "to": ["y", "x"]}},
    "elapsed": {"c": {"kind": "elapsed", "start": "at", "end": "until"}},
    "formula": {"c": {"kind": "formula", "expression": "x / y + same(city, 'Rome')"}},
    "numeric": {"c": {"kind": "numeric", "source": "x"}},
    "sequence": {"c": {"kind": "sequence", "max_len": 2, "source": "tags"}},
    "text": {"c": {"kind": "text", "max_len": 5, "source": "city"}},
    "vector": {"c": {"kind": "vector", "width": 2, "source": "place"}},
}
COUNTS = [c.column for c in Schema.model_validate({"columns": KINDS["counter"]}).counts()]
ROWS = pl.DataFrame(
    {
        "city": ["Rome", "Oslo", None, "Rome", "Bergen"],
        "tags": [["a", "b", "c"], ["c"], None, [], ["b", "d"]],
        "at": ["2026-01-05T10:00", "2026-01-05T23:59:59Z", None, "2026-02-01", "2026-01-07 10:30"],
        "until": ["2026-01-06", None, "2026-01-07", "2026-02-01T12:00", "2026-01-05"],
        "x": [1.0, 20.0, None, 7.0, -3.0],
        "y": [2.0, 3.0, 4.0, None, 9.0],
        **{count: [3, 0, 0, 2, 9] for count in COUNTS},
        "place": [[0.0, 1.0], [2.0, 3.0], None, [1.0, 1.0], [5.0, 5.0]],
    }
)


def schema_of(kind: str) -> Schema:
    return Schema.model_validate({"columns": KINDS[kind]})


def cleaned(schema: Schema, rows: pl.DataFrame) -> pl.DataFrame:
    return Cleaner(schema).clean(Chunk(rows, "rows", 0, 0))


def learn(schema: Schema, *parts: pl.DataFrame) -> Encoder:
    fit = EncoderFit(schema)
    for part in parts:
        fit.add(cleaned(schema, part))
    return fit.finish()


def values(batch: Batch) -> list[np.ndarray]:
    lists = [padded(column).numpy() for column in batch.lists.values()]
    return [batch.codes.numpy(), batch.numbers.numpy(), *lists]


def same(one: Batch, other: Batch) -> bool:
    pairs = zip(values(one), values(other), strict=True)
    return all(np.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_every_built_in_kind_is_here() -> None:
    assert sorted(KINDS) == sorted(set(COLUMNS.names()) - set(COLUMNS.own(COLUMNS.names())))


@pytest.mark.parametrize("kind", KINDS)
class TestKind:
    def test_a_batch_is_what_the_inputs_say(self, kind: str) -> None:
        schema = schema_of(kind)
        encoder = learn(schema, ROWS)
        batch, layout = encoder.encode(cleaned(schema, ROWS)), encoder.layout
        assert batch.codes.shape == (5, len(layout.codes))
        assert batch.numbers.shape == (5, len(layout.numbers))
        assert list(batch.lists) == [field.name for field in layout.lists]
        for place, field in enumerate(layout.codes):
            assert int(batch.codes[:, place].min()) >= 0
            assert int(batch.codes[:, place].max()) < field.size
        for field in layout.lists:
            codes = padded(batch.lists[field.name])
            assert codes.shape[1] == field.length
            assert 0 <= int(codes.min()) <= int(codes.max()) < field.size
        assert bool(batch.numbers.isfinite().all())

    def test_chunks_of_training_rows_do_not_matter(self, kind: str) -> None:
        schema = schema_of(kind)
        whole, parts = learn(schema, ROWS), learn(schema, ROWS[3:], ROWS[:3])
        rows = cleaned(schema, ROWS)
        assert whole.layout == parts.layout
        assert same(whole.encode(rows), parts.encode(rows))

    def test_rows_are_encoded_alone_as_together(self, kind: str) -> None:
        schema = schema_of(kind)
        encoder = learn(schema, ROWS)
        whole = encoder.encode(cleaned(schema, ROWS))
        row_encoder = RowEncoder(encoder, list(schema.columns))
        rows = row_encoder.batch([row_encoder.encode(r) for r in ROWS.iter_rows(named=True)])
        assert same(whole, rows)
        order = torch.tensor([4, 2, 0, 1, 3])
        assert same(whole[order], encoder.encode(cleaned(schema, ROWS[order.numpy()])))

    def test_what_is_learned_is_stored(self, kind: str, tmp_path: Path) -> None:
        schema = schema_of(kind)
        encoder, rows = learn(schema, ROWS), cleaned(schema, ROWS)
        save_encoder(encoder, tmp_path)
        loaded = load_encoder(tmp_path)
        assert loaded.layout == encoder.layout
        assert same(loaded.encode(rows), encoder.encode(rows))

    def test_missing_cells_in_all_training_rows_still_give_an_encoder(self, kind: str) -> None:
        schema = schema_of(kind)
        cells = {c: pl.lit(0) if c in COUNTS else pl.lit(None, dtype=pl.Null) for c in ROWS.columns}
        nothing = ROWS.select(cell.alias(name) for name, cell in cells.items())
        encoder = learn(schema, pl.concat([nothing, nothing]))
        assert bool(encoder.encode(cleaned(schema, ROWS)).numbers.isfinite().all())
