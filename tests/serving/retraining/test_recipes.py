from pathlib import Path

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.blend import Blend
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.row_times import row_times
from crosstower.recipe.split import ColumnSplit
from crosstower.serving.retraining.recipes import (
    check_training,
    ranking_recipe,
    retrieval_recipe,
)

from ...fixtures.live_films import recipes


def test_the_retriever_reads_other_rows_and_items(tmp_path: Path) -> None:
    first = recipes(tmp_path)[0]
    found = retrieval_recipe(
        first,
        rows=tmp_path / "rows.parquet",
        items=tmp_path / "items.parquet",
        time="time",
        training={"epochs": 7},
        seed=3,
    )
    assert found.data.path == str(tmp_path / "rows.parquet")
    assert found.data.split == ColumnSplit(column="part")
    assert found.retrieval is not None
    assert first.retrieval is not None
    assert found.retrieval.items == str(tmp_path / "items.parquet")
    assert found.retrieval.time == "time"
    assert found.retrieval.baselines == ()
    assert found.retrieval.history == first.retrieval.history
    assert (found.training.epochs, found.training.seed) == (7, 3)
    assert found.training.precision == first.training.precision
    assert (found.schema_, found.model) == (first.schema_, first.model)


def test_the_ranker_is_blended_as_the_live_bundle(tmp_path: Path) -> None:
    first = recipes(tmp_path)[1]
    blend = Blend(weights={"liked": 1}, transform="identity")
    given = {
        "rows": tmp_path / "rows.parquet",
        "time": "time",
        "events": (),
        "training": {"refit": True},
        "seed": 0,
    }
    found = ranking_recipe(first, blend=blend, **given)
    assert found.blend == blend
    assert found.training.refit
    assert ranking_recipe(first, blend=None, **given).blend is None


def test_time_formats_of_the_base_rows_are_dropped(tmp_path: Path) -> None:
    text = (
        "{data: {path: a.csv, times: {at: s}, split: {kind: time, column: at}}, schema: {columns:"
        " {u: categorical}, tasks: {click: binary}}, evaluation: {baselines: [mlp]}}"
    )
    given = {"rows": tmp_path / "r.parquet", "blend": None, "training": {}, "seed": 0}
    found = ranking_recipe(parse_recipe(text), time="at", events=(), **given)
    assert found.data.time is None
    assert found.data.times == {}
    assert found.evaluation.baselines == ()


def test_wrong_training_options_are_named(tmp_path: Path) -> None:
    first = recipes(tmp_path)[1]
    with pytest.raises(RecipeError) as caught:
        check_training(first, "ranking", {"epoch": 3, "batch_size": 0})
    assert "training.ranking.epoch: unknown key; did you mean 'epochs'?" in str(caught.value)
    assert "training.ranking.batch_size: " in str(caught.value)
    check_training(first, "ranking", {"epochs": 3})


def test_a_time_that_a_model_reads_stays_the_time_of_the_rows(tmp_path: Path) -> None:
    text = (
        "{data: {split: {kind: time, column: at}}, schema: {columns: {u: categorical, hour: {kind:"
        " calendar, part: hour, source: at}}, tasks: {click: binary}}}"
    )
    given = {"rows": tmp_path / "rows.parquet", "events": (), "blend": None, "training": {}}
    found = ranking_recipe(parse_recipe(text), time="at", seed=0, **given)
    assert row_times(found) == row_times(parse_recipe(text)) == ("at",)
