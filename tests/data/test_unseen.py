"""Values that a vocabulary does not know are counted per column."""

import polars as pl

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.sources.source import Chunk
from crosstower.data.unseen import Unseen
from crosstower.recipe.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "columns": {
            "user": "categorical",
            "tags": "bag",
            "age": "numeric",
            "page": {"kind": "categorical", "hash_buckets": 10},
        }
    }
)


def frame(users: list[int | None], tags: list[list[str]]) -> pl.DataFrame:
    rows = {"user": users, "tags": tags, "age": [1.0] * len(users), "page": ["p"] * len(users)}
    return Cleaner(SCHEMA).clean(Chunk(pl.DataFrame(rows), "rows", 0, 0))


def counted(users: list[int | None], tags: list[list[str]]) -> Unseen:
    fit = EncoderFit(SCHEMA)
    fit.add(frame([1, 2, 3], [["a", "b"], ["b"], []]))
    encoder, found = fit.finish(), Unseen()
    found.add(encoder.encode(frame(users, tags)), encoder)
    return found


def test_missing_values_and_padding_are_no_values() -> None:
    found = counted([1, 9, None], [["a", "z"], [], ["b"]])
    assert dict(found.values) == {"user": 2, "tags": 3}
    assert dict(found.unseen) == {"user": 1, "tags": 1}
    assert found.sentences("test values") == [
        "user: 50.0% of the test values never seen in training",
        "tags: 33.3% of the test values never seen in training",
    ]


def test_columns_of_unseen_values_are_warned_of() -> None:
    assert counted([1, 2, 9], [["a"], ["b"], ["z", "b"]]).warnings() == []
    none, most = counted([8, 9, 7], [["z"], ["y", "a"], []]).warnings()
    assert none.startswith("column 'user': none of the 3 values was ever seen in training")
    assert most.startswith("column 'tags': 2 of 3 values (66.7%) were never seen in training")
