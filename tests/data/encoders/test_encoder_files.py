import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import load_encoder, save_encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.ragged import padded
from crosstower.data.sources.source import open_source
from crosstower.errors import RunError
from crosstower.recipe.schema import Schema
from crosstower.recipe.text_encoders import register_text_encoder

SCHEMA = Schema.model_validate(
    {
        "columns": {
            "user_id": "categorical",
            "city": {"kind": "categorical", "hash_buckets": 7},
            "price": {"kind": "numeric", "transform": "log1p"},
            "score": {"kind": "numeric", "transform": "quantile"},
            "age": {"kind": "numeric", "transform": "bucketise", "buckets": 3},
            "items": {"kind": "sequence", "max_len": 2},
            "image": {"kind": "vector", "width": 2},
            "pair": {"kind": "cross", "columns": ["user_id", "age"], "hash_buckets": 50},
        },
        "tasks": {"click": "binary", "seconds": {"kind": "regression", "log1p": True}},
    }
)
FRAME = pl.DataFrame(
    {
        "user_id": [10, 2**60, None, 7],
        "city": ["Rome", "Oslo", None, "Rome"],
        "price": [1.0, None, 100.0, 5.0],
        "score": [0.1, 0.2, 0.9, 0.3],
        "age": [20, 30, 40, None],
        "items": [["x"], ["y", "x", "z"], [], None],
        "image": [[0.0, 1.0], [2.0, 3.0], [1.0, 1.0], None],
        "click": [0, 1, 0, 1],
        "seconds": [0, 10, 3, None],
    }
)


def cleaned() -> pl.DataFrame:
    chunk = next(iter(open_source(FRAME).chunks(FRAME.columns)))
    return Cleaner(SCHEMA).clean(chunk)


@pytest.fixture
def encoder() -> Encoder:
    fit = EncoderFit(SCHEMA)
    fit.add(cleaned())
    return fit.finish()


def test_a_loaded_encoder_encodes_and_decodes_as_the_saved_one(
    encoder: Encoder, tmp_path: Path
) -> None:
    save_encoder(encoder, tmp_path / "encoder")
    loaded = load_encoder(tmp_path / "encoder")
    one, other = encoder.encode(cleaned()), loaded.encode(cleaned())
    assert torch.equal(one.codes, other.codes)
    assert torch.equal(one.numbers, other.numbers)
    assert torch.equal(padded(one.lists["items"]), padded(other.lists["items"]))
    assert torch.equal(one.labels.nan_to_num(-9), other.labels.nan_to_num(-9))
    assert loaded.layout == encoder.layout
    logits = torch.tensor([-1.0, 2.0]).numpy()
    given = dict.fromkeys(encoder.schema.tasks, logits)
    for name, values in encoder.decode(given).items():
        assert values.tolist() == loaded.decode(given)[name].tolist()
    assert loaded.otherwise == encoder.otherwise


def test_nothing_but_json_and_parquet_is_written(encoder: Encoder, tmp_path: Path) -> None:
    save_encoder(encoder, tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".parquet"}


def test_a_missing_encoder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"encoder\.json: no such file.*train it again"):
        load_encoder(tmp_path)


def test_another_format_is_refused_by_name(encoder: Encoder, tmp_path: Path) -> None:
    save_encoder(encoder, tmp_path)
    path = tmp_path / "encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    with pytest.raises(RunError, match=r"not an encoder of format 3: format"):
        load_encoder(tmp_path)


def test_a_truncated_document_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    save_encoder(encoder, tmp_path)
    path = tmp_path / "encoder.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"encoder\.json"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_a_damaged_vocabulary_is_refused(encoder: Encoder, tmp_path: Path, content: bytes) -> None:
    save_encoder(encoder, tmp_path)
    next(tmp_path.glob("vocabulary-*.parquet")).write_bytes(content)
    with pytest.raises(RunError, match="damaged vocabulary"):
        load_encoder(tmp_path)


def test_a_vocabulary_with_other_values_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    save_encoder(encoder, tmp_path)
    file = tmp_path / "vocabulary-000.parquet"
    pl.DataFrame({"value": [7, 10]}).write_parquet(file)
    with pytest.raises(RunError, match="2 values where 3 sorted ones were written"):
        load_encoder(tmp_path)


def test_an_encoder_of_format_2_encodes_as_the_version_that_wrote_it() -> None:
    folder = Path(__file__).parent / "format_2"
    expected = json.loads((folder / "expected.json").read_text())
    lengths = lambda texts: np.array([[len(text), 1.0] for text in texts])  # noqa: E731
    register_text_encoder("lengths", lengths, width=2)
    encoder, frame = load_encoder(folder), pl.DataFrame(expected["rows"])
    layout = encoder.layout
    codes = [[f.name, f.size, f.table, f.dim] for f in layout.codes]
    lists = [[f.name, f.size, f.table, f.length, f.pooling, f.dim] for f in layout.lists]
    assert {"codes": codes, "numbers": list(layout.numbers), "lists": lists} == expected["layout"]

    chunk = next(iter(open_source(frame).chunks(frame.columns)))
    batch = encoder.encode(Cleaner(encoder.schema).clean(chunk))
    assert batch.codes.tolist() == expected["codes"]
    np.testing.assert_allclose(batch.numbers, expected["numbers"], atol=1e-6)
    np.testing.assert_allclose(batch.labels, np.array(expected["labels"], float), atol=1e-6)
    assert {name: padded(column).tolist() for name, column in batch.lists.items()} == (
        expected["lists"]
    )
    assert encoder.otherwise == {"seconds": 1.5}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plain: plain["states"].pop("price"), "damaged: nothing of column 'price'"),
        (lambda plain: plain["states"]["items"].clear(), "not an encoder of format 3: length"),
        (lambda plain: plain["tables"].pop("city"), "damaged: nothing of column 'city'"),
        (lambda plain: plain["states"]["price"].update(mean="x"), "not an encoder of format 3"),
    ],
)
def test_a_document_that_lacks_what_a_column_learned_is_refused(
    encoder: Encoder, tmp_path: Path, change: Callable[[dict], object], words: str
) -> None:
    save_encoder(encoder, tmp_path)
    path = tmp_path / "encoder.json"
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(RunError, match=words):
        load_encoder(tmp_path)
