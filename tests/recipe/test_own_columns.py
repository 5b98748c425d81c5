"""Any name of a column is allowed; only what would stand beside a score of that name is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import crosstower as ct
from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.own_columns import MARK, attribute_names, check_kept, label_name, raw_name

ROWS = 200
PLAIN = ["user", "age", "genres", "click"]
any_name = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda name: not name.startswith(MARK)
) | st.sampled_from(["row", "label:click", "raw:row", "truth:click", "amount:row", "", "a.b"])


def frame(names: list[str]) -> pl.DataFrame:
    random = np.random.default_rng(0)
    user, age, genres, click = names
    return pl.DataFrame(
        {
            user: random.integers(0, 9, ROWS),
            age: random.normal(size=ROWS),
            genres: [["x", "y"][:n] for n in random.integers(0, 3, ROWS)],
            click: random.integers(0, 2, ROWS),
        }
    )


def schema(names: list[str]) -> ct.Schema:
    user, age, genres, click = names
    columns = {user: "categorical", age: "numeric", genres: {"kind": "bag"}}
    return ct.Schema(columns=columns, tasks={click: "binary"})


def encoded(names: list[str]) -> Batch:
    cleaner = Cleaner(schema(names), names[:3])
    cleaned = cleaner.clean(Chunk(frame(names), "rows", 0, 0))
    assert cleaned[raw_name(names[0])].to_list() == frame(names)[names[0]].to_list()
    fit = EncoderFit(cleaner.schema)
    fit.add(cleaned)
    return fit.finish().encode(cleaned)


@given(st.lists(any_name, min_size=4, max_size=4, unique=True))
def test_names_do_not_change_what_is_encoded(names: list[str]) -> None:
    got, expected = encoded(names), encoded(PLAIN)
    for ours, plain in zip(got.tensors(), expected.tensors(), strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
@pytest.mark.parametrize(
    "names",
    [
        ["row", "label:click", "rank", "score"],
        ["user.id", "raw:a", "truth:x.y", "a.b.c"],
        ["", "forward", "codes", "training"],
    ],
)
def test_a_run_works_with_any_names(names: list[str], tmp_path: Path) -> None:
    training = {"epochs": 1, "batch_size": 64}
    recipe = ct.Recipe(schema=schema(names), name="names", training=training)
    run = ct.fit(recipe, data=frame(names), out=tmp_path / "run", quiet=True)
    scored = run.predict(frame(names), columns=names[:2])
    assert scored.columns == [*names[:2], f"{names[3]}__prediction"]
    assert scored[names[0]].to_list() == frame(names)[names[0]].to_list()


def test_the_mark_of_our_own_names_is_refused_in_a_schema() -> None:
    with pytest.raises(RecipeError, match=r"must not start with the character '\\x00'"):
        ct.Schema(columns={f"{MARK}row": "categorical"})
    assert label_name("y").startswith(MARK)


@pytest.mark.parametrize("name", ["click__prediction", "click__raw", "blend__score"])
def test_a_raw_column_with_the_name_of_a_score_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"rows: column '{name}' is reserved for .*; rename it"):
        check_kept(["age", name], ["click"], where="rows", advice="rename it")
    check_kept(["age", "other__prediction"], ["click"], where="rows", advice="rename it")


def test_attributes_keep_apart_from_the_columns_of_a_list() -> None:
    shown = attribute_names(["score", "score__item", "year", "rank"], ["rank", "score"])
    assert shown == {
        "score": "score__item__item",
        "score__item": "score__item",
        "year": "year",
        "rank": "rank__item",
    }
