import polars as pl
import pytest

import crosstower as ct
from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.ranker import Ranker
from crosstower.training.run import BACKGROUND, Run


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, pl.DataFrame]:
    world = ct.worlds.make("rentals", rows=2500)
    recipe = ct.Recipe.model_validate(
        {
            "schema": {
                "columns": world.schema.plain()["columns"]
                | {"near": {"kind": "cross", "columns": ["home_city", "city"], "hash_buckets": 99}},
                "tasks": {"click": "binary", "booking": {"kind": "binary", "after": "click"}},
            },
            "model": {"name": "wide_deep", "hidden": [8]},
            "evaluation": {"baselines": [], "group": "request_id", "importance": {"rows": 40}},
            "calibration": {"method": "platt", "by": "city"},
            "blend": {"weights": {"click": 1, "booking": 3}},
            "data": {"split": {"kind": "group", "column": "request_id"}},
            "training": {"epochs": 1, "precision": "float32"},
        }
    )
    folder = tmp_path_factory.mktemp("explained")
    return fit(recipe, data=world.frame, out=folder / "run", quiet=True), world.frame


@pytest.mark.filterwarnings("ignore::crosstower.CrosstowerWarning")
def test_explanations_lead_to_the_predictions_that_are_served(
    explained: tuple[Run, pl.DataFrame],
) -> None:
    run, frame = explained
    ranker = Ranker.open(run)
    found = ranker.explain(frame.head(3), background=8)
    scores = ranker.predict(frame.head(3))
    assert [one.row for one in found] == [0, 1, 2]
    for one, score in zip(found, scores.iter_rows(named=True), strict=True):
        assert set(one.tasks) == {"click", "booking", "blend__score"}
        for task, explanation in one.tasks.items():
            column = task if task == "blend__score" else f"{task}__prediction"
            assert explanation.prediction == pytest.approx(score[column], rel=1e-5)
            total = sum(explanation.contributions.values())
            assert total == pytest.approx(explanation.prediction - explanation.base, abs=1e-9)
            assert "near" not in explanation.contributions  # it follows its columns
    assert found[0].values["price"] == frame["price"][0]
    largest = found[0].frame.filter(pl.col("task") == "click")["contribution"].abs()
    assert largest.to_list() == sorted(largest, reverse=True)


def test_a_row_as_a_mapping_is_that_row_of_a_frame(explained: tuple[Run, pl.DataFrame]) -> None:
    run, frame = explained
    ranker = Ranker.open(run)
    (one,) = ranker.explain(frame.row(5, named=True), background=4)
    (other,) = ranker.explain(frame, rows=[5], background=4)
    assert one.plain()["tasks"] == other.plain()["tasks"]
    assert (one.row, other.row) == (0, 5)


def test_explanations_are_in_the_order_of_the_rows_given(
    explained: tuple[Run, pl.DataFrame],
) -> None:
    run, frame = explained
    found = Ranker.open(run).explain(frame, rows=[9, 2, 9], background=4)
    assert [one.row for one in found] == [9, 2, 9]
    assert [one.values["price"] for one in found] == frame["price"].gather([9, 2, 9]).to_list()


def test_wrong_rows_are_named(explained: tuple[Run, pl.DataFrame]) -> None:
    run, frame = explained
    ranker = Ranker.open(run)
    with pytest.raises(DataError, match="no row 2500; it has 2,500 rows, numbered from 0"):
        ranker.explain(frame, rows=[2500])
    for wrong in (-1, 2.5, "3", True):
        with pytest.raises(DataError, match=f"no row {wrong!r}; rows have whole numbers from 0"):
            ranker.explain(frame, rows=[0, wrong])
    with pytest.raises(DataError, match="no column 'home_city'"):
        ranker.explain({"user_id": 3})
    with pytest.raises(DataError, match="expected mappings of columns to values, got 3"):
        ranker.explain([3])
    with pytest.raises(DataError, match="background: expected"):
        ranker.explain(frame, rows=[0], background=0)


def test_a_run_without_background_rows_says_how_to_get_them(
    explained: tuple[Run, pl.DataFrame],
) -> None:
    run, frame = explained
    kept = (run.folder / BACKGROUND).read_bytes()
    (run.folder / BACKGROUND).unlink()
    try:
        with pytest.raises(RunError, match=r"keeps no background rows .* evaluation\.importance"):
            Ranker.open(run).explain(frame, rows=[0])
    finally:
        (run.folder / BACKGROUND).write_bytes(kept)
