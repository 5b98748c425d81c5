import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.layout import MISSING, RESERVED_CODES, UNSEEN, Head
from crosstower.data.sources.source import Chunk, open_source
from crosstower.errors import DataError
from crosstower.recipe.schema import Distance, Schema
from crosstower.recipe.tasks import Binary
from crosstower.values.hashing import combine


def schema(columns: dict, tasks: dict | None = None) -> Schema:
    return Schema.model_validate({"columns": columns, "tasks": tasks or {"y": "binary"}})


def cleaned(schema: Schema, frame: pl.DataFrame, *, labels: bool = False) -> pl.DataFrame:
    return Cleaner(schema, with_labels=labels).clean(Chunk(frame, "rows", 0, 0))


def learn(schema: Schema, *frames: pl.DataFrame, labels: bool = False) -> Encoder:
    fit = EncoderFit(schema)
    for frame in frames:
        fit.add(cleaned(schema, frame, labels=labels))
    return fit.finish()


FULL = schema(
    {
        "user": "categorical",
        "age": {"kind": "numeric", "transform": "bucketise", "boundaries": [18, 65]},
        "price": "numeric",
        "tags": {"kind": "bag", "max_len": 2, "pooling": "max"},
        "seen": {"kind": "sequence", "max_len": 3, "table": "item"},
        "item": {"kind": "categorical", "dim": 4},
        "picture": {"kind": "vector", "width": 2},
        "user_age": {"kind": "cross", "columns": ["user", "age"], "hash_buckets": 50},
    },
    {"y": "binary", "stars": "rating", "seconds": {"kind": "regression", "log1p": True}},
)
ROWS = pl.DataFrame(
    {
        "user": ["u1", "u2", None, "u1"],
        "age": [10, 30, 90, None],
        "price": [1.0, 3.0, None, 5.0],
        "tags": [["x"], ["y", "x", "z"], [], None],
        "seen": [[1, 2, 3, 4], [9], None, []],
        "item": [1, 2, 3, 4],
        "picture": [[0.0, 2.0], [4.0, 2.0], None, [2.0, 2.0]],
        "y": [0, 1, None, 1],
        "stars": [1.0, 5.0, 3.0, None],
        "seconds": [0.0, 10.0, 100.0, None],
    }
)


@pytest.fixture
def encoder() -> Encoder:
    return learn(FULL, ROWS, labels=True)


def test_codes_of_a_row(encoder: Encoder) -> None:
    names = [f.name for f in encoder.layout.codes]
    codes = encoder.encode(cleaned(FULL, ROWS)).codes
    assert names == ["user", "age", "item", "user_age"]
    assert codes.dtype == torch.int32
    assert codes[:, 0].tolist() == [3, 4, MISSING, 3]
    assert codes[:, 1].tolist() == [3, 4, 5, MISSING]
    # The shared table holds the items and the histories: 1, 2, 3, 4 and 9.
    assert codes[:, 2].tolist() == [3, 4, 5, 6]
    hashes = combine([codes[:, 0].numpy(), codes[:, 1].numpy()])
    assert codes[:, 3].tolist() == (hashes % np.uint64(50) + np.uint64(RESERVED_CODES)).tolist()


def test_lists_are_cut_padded_and_share_their_table(encoder: Encoder) -> None:
    lists = encoder.encode(cleaned(FULL, ROWS)).lists
    assert lists["tags"].padded().tolist() == [[3, 0], [4, 3], [0, 0], [0, 0]]  # the first two
    assert lists["seen"].padded().tolist() == [
        [4, 5, 6],
        [7, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
    ]  # the last three
    seen = next(f for f in encoder.layout.lists if f.name == "seen")
    item = next(f for f in encoder.layout.codes if f.name == "item")
    assert (seen.table, seen.size, seen.dim) == ("item", item.size, 4)


def test_numbers_have_names_and_missing_ones_are_marked(encoder: Encoder) -> None:
    assert encoder.layout.numbers == ("price", "price is missing", "picture[0]", "picture[1]")
    numbers = encoder.encode(cleaned(FULL, ROWS)).numbers
    sd = (8 / 3) ** 0.5
    assert numbers[:, 0].tolist() == pytest.approx([-2 / sd, 0, 0, 2 / sd])
    assert numbers[:, 1].tolist() == [0, 0, 1, 0]
    assert numbers[2, 2:].tolist() == [0, 0]  # a missing vector is the mean


def test_labels_are_scaled_and_missing_ones_are_nan(encoder: Encoder) -> None:
    labels = encoder.encode(cleaned(FULL, ROWS, labels=True)).labels.numpy()
    logged = np.log1p([0.0, 10.0, 100.0])
    expected = np.array(
        [
            [0, 1, np.nan, 1],
            [0, 1, 0.5, np.nan],
            [*((logged - logged.mean()) / logged.std()), np.nan],
        ]
    ).T
    np.testing.assert_allclose(labels, expected, rtol=1e-6)
    assert encoder.layout.heads == (
        Head("y", "binary"),
        Head("stars", "rating"),
        Head("seconds", "regression"),
    )


def test_decoding_inverts_the_scaling_of_labels(encoder: Encoder) -> None:
    labels = encoder.encode(cleaned(FULL, ROWS, labels=True)).labels.numpy()
    logits = {"seconds": labels[:3, 2], "stars": np.array([0.0, 50.0]), "y": np.array([0.0])}
    decoded = encoder.decode(logits)
    assert decoded["seconds"] == pytest.approx([0, 10, 100], abs=1e-4)
    assert decoded["stars"] == pytest.approx([3.0, 5.0])
    assert decoded["y"].tolist() == [0.5]


def test_decoded_regression_stays_within_its_clip() -> None:
    clipped = schema({"c": "categorical"}, {"y": {"kind": "regression", "clip": [0, 10]}})
    encoder = learn(clipped, pl.DataFrame({"c": [1, 2], "y": [0.0, 50.0]}), labels=True)
    assert encoder.label_scales["y"] == (5.0, 5.0)
    assert encoder.decode({"y": np.array([-100.0, 0.0, 100.0])})["y"].tolist() == [0.0, 5.0, 10.0]


def test_without_labels_all_are_nan(encoder: Encoder) -> None:
    assert encoder.encode(cleaned(FULL, ROWS)).labels.isnan().all()


def test_values_never_seen_get_the_unseen_code(encoder: Encoder) -> None:
    stranger = ROWS.head(1).with_columns(user=pl.lit("u99"), item=77, tags=pl.lit(["q"]))
    batch = encoder.encode(cleaned(FULL, stranger))
    assert batch.codes[0, 0] == UNSEEN
    assert batch.codes[0, 2] == UNSEEN
    assert batch.lists["tags"].padded().tolist() == [[UNSEEN, 0]]


@given(st.permutations(range(4)))
def test_permuting_rows_permutes_the_batch(order: list[int]) -> None:
    encoder = learn(FULL, ROWS, labels=True)
    straight = encoder.encode(cleaned(FULL, ROWS, labels=True))[torch.tensor(order)]
    permuted = encoder.encode(cleaned(FULL, ROWS[order], labels=True))
    assert torch.equal(straight.codes, permuted.codes)
    assert torch.equal(straight.numbers, permuted.numbers)
    assert torch.equal(straight.lists["seen"].padded(), permuted.lists["seen"].padded())


def test_l2_normalised_vectors_have_length_one() -> None:
    declared = schema({"v": {"kind": "vector", "width": 2, "normalise": "l2"}})
    frame = pl.DataFrame({"v": [[3.0, 4.0], [0.0, 0.0], None]})
    numbers = learn(declared, frame).encode(cleaned(declared, frame)).numbers
    assert numbers.flatten().tolist() == pytest.approx([0.6, 0.8, 0, 0, 0, 0])


def test_a_source_column_can_feed_two_columns() -> None:
    declared = schema({"age": "numeric", "age_group": {"kind": "categorical", "source": "age"}})
    frame = pl.DataFrame({"age": [3, 4]})
    batch = learn(declared, frame).encode(cleaned(declared, frame))
    assert batch.codes.tolist() == [[3], [4]]
    assert batch.numbers.tolist() == [[-1.0], [1.0]]


PLACES = pl.DataFrame(
    {
        "from_lat": [48.86, None, 0.0],
        "from_lon": [2.35, 2.0, 0.0],
        "lat": [48.86, 48.0, 0.0],
        "lon": [2.36, 2.0, 1.0],
        "words": ["red coat", None, "blue shoe, red lace"],
        "more": ["coat", "x", "lace"],
        "click": [1, 0, 1],
    }
)
DISTANCE = Distance(origin=("from_lat", "from_lon"), to=("lat", "lon"), transform="none")


def fitted(columns: dict, rows: pl.DataFrame) -> tuple[Encoder, Batch]:
    schema = Schema(columns=columns, tasks={"click": Binary()})
    cleaner = Cleaner(schema)
    source = open_source(rows)
    frames = [cleaner.clean(c) for c in source.chunks(cleaner.sources())]
    fit = EncoderFit(schema)
    for frame in frames:
        fit.add(frame)
    encoder = fit.finish()
    return encoder, encoder.encode(frames[0])


def test_a_distance_is_a_number_in_kilometres() -> None:
    encoder, batch = fitted({"km": DISTANCE}, PLACES)
    assert encoder.layout.numbers == ("km", "km is missing")
    km = 6371.0088 * np.pi / 180
    expected = [km * 0.01 * np.cos(np.radians(48.86)), km]
    np.testing.assert_allclose(batch.numbers[[0, 2], 0], expected, rtol=1e-4)
    assert batch.numbers[:, 1].tolist() == [0, 1, 0]


def test_coordinates_in_the_wrong_order_are_told() -> None:
    wrong = PLACES.with_columns(lat=pl.Series([139.7, 48.0, 0.0]))
    with pytest.raises(DataError, match=r"expected degrees from -90 to 90, got 139\.7 in row"):
        fitted({"km": DISTANCE}, wrong)
