from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score

from crosstower.errors import DataError
from crosstower.fitting.fit import fit
from crosstower.ranking.results import evaluate_on, write_results
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Run:
    return fit(recipe, out=tmp_path / "run", quiet=True, seeds=2)


def test_metrics_are_those_of_the_stored_predictions(run: Run) -> None:
    frames = [
        pl.read_parquet(run.model_folder("wide_deep", seed) / "test.parquet") for seed in (0, 1)
    ]
    click = run.metrics["tasks"]["click"]["wide_deep"]
    aucs = [roc_auc_score(f["click"], f["click__prediction"]) for f in frames]
    losses = [log_loss(f["click"], f["click__prediction"]) for f in frames]
    assert click["auc"]["mean"] == pytest.approx(sum(aucs) / 2)
    assert click["auc"]["sd"] == pytest.approx(abs(aucs[0] - aucs[1]) / 2**0.5)
    assert click["log_loss"]["mean"] == pytest.approx(sum(losses) / 2)
    mae = [mean_absolute_error(f["watch_time"], f["watch_time__prediction"]) for f in frames]
    assert run.metrics["tasks"]["watch_time"]["wide_deep"]["mae"]["mean"] == pytest.approx(
        sum(mae) / 2
    )


def test_the_report_shows_models_slices_and_facts(run: Run) -> None:
    page = run.report.read_text()
    words = ("wide_deep", "logistic_regression", "genre", "comedy", "Constant", "torch", "user_id")
    assert [w for w in words if w not in page] == []
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_evaluating_again_gives_the_same_and_keeps_the_memory(run: Run) -> None:
    before = run.metrics
    write_results(run)
    assert run.metrics == before


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_other_rows_are_evaluated_by_every_model(run: Run, frame: pl.DataFrame) -> None:
    path = run.folder.parent / "new.parquet"
    frame.head(300).write_parquet(path)
    reports, page = evaluate_on(run, path)
    assert page == run.folder / "report-new.html"
    assert [r.rows for r in reports] == [300, 300]
    assert [m.name for m in reports[0].models][:2] == ["wide_deep", "logistic_regression"]
    assert "300" in page.read_text()


def test_other_rows_need_labels(run: Run, frame: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="no column 'click'"):
        evaluate_on(run, frame.drop("click"))


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_rows_of_one_class_are_reported_as_such(run: Run, frame: pl.DataFrame) -> None:
    reports, _ = evaluate_on(run, frame.filter(pl.col("click") == 1))
    assert "AUC is not defined" in reports[0].verdicts[0]
