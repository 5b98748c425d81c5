"""A request encoded side by side against the same rows encoded whole."""

import polars as pl
import pytest
import torch

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.request_encoder import RequestEncoder
from crosstower.data.ragged import padded
from crosstower.data.sources.source import Chunk
from crosstower.errors import QueryError
from crosstower.recipe.schema import Schema

BUCKETS = {"kind": "numeric", "transform": "bucketise", "boundaries": [18, 65]}
SCHEMA = Schema.model_validate(
    {
        "columns": {
            "both": {"kind": "cross", "columns": ["user", "item"], "hash_buckets": 50},
            "price": "numeric",
            "seen": {"kind": "sequence", "max_len": 3, "table": "item"},
            "user": "categorical",
            "theirs": {"kind": "cross", "columns": ["item", "city"], "hash_buckets": 60},
            "item": "categorical",
            "age": BUCKETS,
            "far": {"kind": "distance", "origin": ["lat", "lon"], "to": ["la", "lo"]},
            "own": {"kind": "cross", "columns": ["user", "age"], "hash_buckets": 70, "dim": 4},
            "tags": {"kind": "bag", "max_len": 2},
            "hour": "numeric",
            "city": "categorical",
        }
    }
)
USER = ["user", "seen", "age", "hour"]
QUERY = {"user": "u2", "age": 30.0, "seen": [1, 9], "hour": None, "lat": 1.0, "lon": 2.0}
ITEMS = pl.DataFrame(
    {
        "item": [1, 2, 3, 4],
        "price": [1.0, 3.0, None, 5.0],
        "city": ["x", "y", None, "new"],
        "tags": [["a"], ["b", "a", "c"], [], None],
        "la": [1.0, 2.0, None, 4.0],
        "lo": [1.0, 2.0, 3.0, 4.0],
    }
)
SEEN = pl.DataFrame([QUERY, QUERY | {"user": "u1", "age": 80.0, "hour": 3.0}], strict=False)


def cleaned(schema: Schema, frame: pl.DataFrame) -> pl.DataFrame:
    return Cleaner(schema, with_labels=False).clean(Chunk(frame, "rows", 0, 0))


WHOLE = SEEN.join(ITEMS.head(3), how="cross")
LEARNT = EncoderFit(SCHEMA)
LEARNT.add(cleaned(SCHEMA, WHOLE))
ENCODER = LEARNT.finish()


def sides(user: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the cleaned row of the user and the cleaned rows of the items."""
    others = [name for name in SCHEMA.columns if name not in user]
    whole = SEEN.head(1).join(ITEMS, how="cross")
    return cleaned(SCHEMA.part(user), SEEN.head(1)), cleaned(SCHEMA.part(others), whole)


@pytest.mark.parametrize("user", [USER, ["user"], ["hour"], []], ids=lambda u: " ".join(u) or "-")
def test_a_request_holds_the_codes_and_numbers_of_whole_rows(user: list[str]) -> None:
    whole = ENCODER.encode(cleaned(SCHEMA, SEEN.head(1).join(ITEMS, how="cross")))
    request = RequestEncoder(ENCODER, user).encode(*sides(user))
    assert len(request) == 4
    assert torch.equal(request.codes, whole.codes)
    assert torch.equal(request.numbers, whole.numbers)
    assert torch.equal(padded(request.lists["tags"]), padded(whole.lists["tags"]))
    rows = 1 if "seen" in user else 4
    assert torch.equal(padded(request.lists["seen"]), padded(whole.lists["seen"])[:rows])


def test_crosses_of_the_users_columns_are_the_users() -> None:
    encoder = RequestEncoder(ENCODER, USER)
    assert encoder.shared == {*USER, "own"}
    assert RequestEncoder(ENCODER, ["user"]).shared == {"user"}


def test_what_cannot_be_a_users_column_is_named() -> None:
    with pytest.raises(
        QueryError, match="'usr' is not a column that a user can have; did you mean"
    ):
        RequestEncoder(ENCODER, ["usr"])
    with pytest.raises(QueryError, match="'own' is not a column that a user can have"):
        RequestEncoder(ENCODER, ["own"])


def test_two_users_are_no_request() -> None:
    user, items = sides(USER)
    with pytest.raises(QueryError, match="the row of one user, got 2 rows"):
        RequestEncoder(ENCODER, USER).encode(pl.concat([user, user]), items)
