"""What an encoder learns from the training rows."""

import polars as pl
import pytest
import torch

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.fit import EncoderFit
from crosstower.data.layout import RESERVED_CODES
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.schema import Schema, Text
from crosstower.recipe.tasks import Binary

from .test_encoder import FULL, PLACES, ROWS, cleaned, fitted, learn, schema


@pytest.fixture
def encoder() -> Encoder:
    return learn(FULL, ROWS, labels=True)


def test_chunks_of_training_rows_do_not_matter(encoder: Encoder) -> None:
    halves = learn(FULL, ROWS[:1], ROWS[1:], labels=True)
    rows = cleaned(FULL, ROWS, labels=True)
    one, other = encoder.encode(rows), halves.encode(rows)
    assert torch.equal(one.codes, other.codes)
    assert torch.equal(one.numbers, other.numbers)


def test_hashed_columns_learn_nothing_and_given_vocabularies_stay() -> None:
    declared = schema(
        {
            "h": {"kind": "categorical", "hash_buckets": 8},
            "g": {"kind": "categorical", "vocabulary": ["b", "a"]},
        }
    )
    encoder = learn(declared, pl.DataFrame({"h": ["x"], "g": ["z"]}))
    codes = encoder.encode(cleaned(declared, pl.DataFrame({"h": ["q"], "g": ["b"]}))).codes
    assert RESERVED_CODES <= codes[0, 0] < RESERVED_CODES + 8
    assert codes[0, 1] == RESERVED_CODES + 1


def test_the_longest_training_row_sets_the_length_of_a_bag() -> None:
    declared = schema({"tags": "bag"})
    encoder = learn(declared, pl.DataFrame({"tags": [["a"], ["a", "b", "c"]]}))
    assert encoder.layout.lists[0].length == 3


def test_no_training_row_is_an_error() -> None:
    with pytest.raises(DataError, match="the training split holds no rows"):
        EncoderFit(FULL).finish()


def test_texts_share_a_table_if_they_say_so() -> None:
    columns = {
        "words": Text(word_ngrams=1, char_ngrams=None, max_len=4, hash_buckets=99),
        "more": Text(word_ngrams=1, char_ngrams=None, max_len=2, table="words"),
    }
    encoder, batch = fitted(columns, PLACES)
    words, more = encoder.layout.lists
    assert [f.table for f in (words, more)] == ["words", "words"]
    assert [f.size for f in (words, more)] == [102, 102]
    assert batch.lists["words"].shape == (3, 4)
    assert batch.lists["more"][0, 0] == batch.lists["words"][0, 1]  # coat
    assert batch.lists["words"][1].tolist() == [0, 0, 0, 0]
    with pytest.raises(RecipeError, match="is not a hashed text column with its own table"):
        Schema(columns={"words": Text(table="click")}, tasks={"click": Binary()})
