from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.cleaner import Cleaner
from crosstower.data.implications import Implications
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError
from crosstower.fitting.fit import fit
from crosstower.recipe.own_columns import label_name
from crosstower.recipe.recipe import Evaluation, Recipe, Training
from crosstower.recipe.schema import Schema
from crosstower.training.run import Run


def rows(count: int = 4000, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    click = random.random(count) < 0.32
    buy = click & (random.random(count) < 0.3)
    return pl.DataFrame(
        {"city": random.integers(0, 4, count), "click": click * 1, "buy": buy * 1}
    ).cast({"click": pl.Int64, "buy": pl.Int64})


def only_clicked(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.when(pl.col("click") == 1).then("buy"))


def contradicting(frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """Rows in which a share of those without a click has a purchase."""
    chance = pl.Series(np.random.default_rng(1).random(frame.height))
    wrong = (pl.col("click") == 0) & (chance < share)
    return frame.with_columns(buy=pl.when(wrong).then(1).otherwise("buy"))


def esmm(tasks: dict[str, Any], **options: Any) -> Recipe:
    return Recipe(
        schema=Schema.model_validate({"columns": {"city": "categorical"}, "tasks": tasks}),
        model={"name": "esmm", "embedding_dim": 2, "trunk": {"name": "mlp", "hidden": [4]}}
        | options,
        training=Training(epochs=1, precision="float32", learning_rate=0.01),
        evaluation=Evaluation(baselines=()),
    )


def about_buy(run: Run) -> list[str]:
    return [note for note in run.info.facts.notes if note.startswith("buy: ")]


def refusal(recipe: Recipe, frame: pl.DataFrame, tmp_path: Path) -> str:
    with pytest.raises(DataError) as caught:
        fit(recipe, data=frame, out=tmp_path / "a", quiet=True)
    assert not (tmp_path / "a").exists()
    return str(caught.value)


@pytest.mark.parametrize("missing", [False, True])
def test_an_order_that_the_labels_contradict_is_refused(tmp_path: Path, missing: bool) -> None:
    frame = only_clicked(rows()) if missing else rows()
    words = refusal(esmm({"buy": "binary", "click": "binary"}), frame, tmp_path)
    assert "task 'click' comes after 'buy'" in words
    assert "rows with click have no buy" in words
    assert "set model.chain: [click, buy]" in words


def test_many_events_without_the_one_before_are_refused(tmp_path: Path) -> None:
    frame = contradicting(rows(), 0.3)
    words = refusal(esmm({"click": "binary", "buy": "binary"}), frame, tmp_path)
    assert "rows with buy have no click" in words
    assert "at most 5% may" in words
    assert "mmoe" in words


def test_few_events_without_the_one_before_are_reported(tmp_path: Path) -> None:
    frame = contradicting(rows(), 0.004)
    wrong = frame.filter(click=0, buy=1).height
    assert 0 < wrong < 20
    recipe = esmm({"click": "binary", "buy": "binary"})
    run = fit(recipe, data=frame, out=tmp_path / "a", quiet=True)
    bought = frame.filter(buy=1).height
    (note,) = about_buy(run)
    assert f"buy: {wrong} of {bought} rows with it have no click, which it needs" in note


def test_a_label_missing_where_the_event_before_it_did_not_happen_counts_as_0(
    tmp_path: Path,
) -> None:
    frame, recipe = rows(), esmm({"click": "binary", "buy": "binary"})
    whole = fit(recipe, data=frame, out=tmp_path / "whole", quiet=True)
    part = fit(recipe, data=only_clicked(frame), out=tmp_path / "part", quiet=True)
    assert part.info.facts.base_rates == whole.info.facts.base_rates
    assert part.predict(frame).equals(whole.predict(frame))
    missing = frame.filter(click=0).height
    assert about_buy(part) == [
        f"buy: {missing:,} rows without a label count as 0, as click is 0 there",
    ]
    assert about_buy(whole) == []


LABELS = st.lists(
    st.tuples(*[st.sampled_from([0, 1, None])] * 3), min_size=1, max_size=30
)  # click, cart, buy


@given(LABELS)
def test_labels_along_a_chain_are_filled_with_0_alone_and_only_after_a_0(
    labels: list[tuple[int | None, ...]],
) -> None:
    names = ["click", "cart", "buy"]
    frame = pl.DataFrame(labels, schema=dict.fromkeys(names, pl.Int64), orient="row")
    tasks = {
        "click": "binary",
        "cart": {"kind": "binary", "after": "click"},
        "buy": {"kind": "binary", "after": "cart"},
    }
    schema = Schema.model_validate({"columns": {"city": "categorical"}, "tasks": tasks})
    cleaner = Cleaner(schema)
    cleaned = cleaner.clean(Chunk(frame.with_columns(city=pl.lit(1)), "rows", 0, 0))
    filled = 0
    for i, given_labels in enumerate(labels):
        before: float | None = 1
        for name, label in zip(names, given_labels, strict=True):
            expected = 0 if label is None and before == 0 else label
            filled += label is None and expected == 0
            assert cleaned[label_name(name)][i] == expected
            before = expected
    assert sum(cleaner.implied.values()) == filled
    found = Implications()
    found.add(schema.tasks, cleaned.select(pl.col(label_name(n)).alias(n) for n in names))
    both = cleaned.filter(pl.col(label_name("buy")) == 1, pl.col(label_name("cart")) == 0)
    assert found.without["buy", "cart"] == both.height
