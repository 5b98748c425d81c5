"""What an encoder learns from the training rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import save_encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.learned import save_learned
from crosstower.data.layout import RESERVED_CODES
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.schema import Schema, Text
from crosstower.recipe.tasks import Binary

from ...fixtures.every_kind import COLUMNS, TASKS, rows
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


def every_kind() -> tuple[Schema, pl.DataFrame]:
    """A schema with all kinds that read rows alone, and cleaned rows."""
    columns = {n: c for n, c in COLUMNS.items() if isinstance(c, str) or "event" not in c}
    declared = Schema.model_validate({"columns": columns, "tasks": TASKS})
    return declared, Cleaner(declared).clean(Chunk(rows(), "rows", 0, 0))


def written(fit: EncoderFit, folder: Path) -> dict[str, bytes]:
    save_encoder(fit.finish(), folder)
    save_learned(fit.learned(), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 7, 600])
@pytest.mark.parametrize("warm", [False, True])
def test_what_parts_taught_is_merged_in_any_order(tmp_path: Path, parts: int, warm: bool) -> None:
    declared, cleaned_rows = every_kind()
    start = None
    if warm:
        before = EncoderFit(declared)
        before.add(Cleaner(declared).clean(Chunk(rows(200, seed=1), "rows", 0, 0)))
        start = before.finish(), before.learned()
    whole, merged = EncoderFit(declared, start), EncoderFit(declared, start)
    whole.add(cleaned_rows)
    order = np.random.default_rng(parts).permutation(cleaned_rows.height)
    for part in np.array_split(order, parts):
        one = EncoderFit(declared)
        one.add(cleaned_rows[part])
        one.pack()
        merged.merge(one)
    assert merged.unmerged() == []
    assert written(merged, tmp_path / "merged") == written(whole, tmp_path / "whole")


class _Stubborn:
    def add(self, values: pl.Series) -> None:
        """Learn nothing."""

    def finish(self) -> None:
        """Return nothing."""


def test_learners_without_merge_are_named() -> None:
    fit = EncoderFit(schema({"a": "numeric", "b": "numeric"}))
    fit._learners["b"] = _Stubborn()
    assert fit.unmerged() == ["b"]


def test_numbers_beyond_the_range_of_floats_name_their_column() -> None:
    fit = EncoderFit(
        Schema.model_validate({"columns": {"size": "numeric"}, "tasks": {"y": "binary"}})
    )
    fit.add(pl.DataFrame({"size": [-1e300, 1e300], "y": [0, 1]}))
    with pytest.raises(DataError, match=r"column 'size': .* got inf; .*transform: quantile"):
        fit.finish()
