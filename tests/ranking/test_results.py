import json
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score

from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.results import evaluate_on, write_results
from crosstower.recipe.recipe import Recipe
from crosstower.training.history import precision_words
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


def test_missing_predictions_say_how_to_go_on(run: Run) -> None:
    (run.model_folder("wide_deep", 1) / "test.parquet").unlink()
    with pytest.raises(RunError, match="has not finished; go on with: crosstower fit --resume"):
        write_results(run)


def test_damaged_predictions_are_refused(run: Run) -> None:
    (run.model_folder("wide_deep", 1) / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="damaged"):
        write_results(run)


def test_a_damaged_log_is_refused(run: Run) -> None:
    (run.model_folder("wide_deep", 0) / "metrics.jsonl").write_text("{")
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be read"):
        write_results(run)


def test_metrics_are_plain_json(run: Run) -> None:
    text = (run.folder / "metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["tasks"]["click"]["Constant base rate"]["auc"]["mean"] == 0.5


def test_reasons_of_the_precision_name_their_models(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {"precision": "bfloat16", "precision_reason": "much work"}
    small = {"precision": "float32", "precision_reason": "little work"}
    figures = {"dcn_v2": {"0": wide, "1": wide}, "mlp": {"0": small}, "other": {"0": small}}
    monkeypatch.setattr("crosstower.training.history.training_figures", lambda run: run)
    assert precision_words(figures) == [  # type: ignore[arg-type]
        "precision bfloat16: much work (dcn_v2)",
        "precision float32: little work (mlp, other)",
    ]
    assert precision_words({"mlp": figures["mlp"]}) == ["precision float32: little work"]  # type: ignore[arg-type]
