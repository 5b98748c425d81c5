"""What a training leaves in its folder: predictions, epochs, metrics."""

import json
from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.results import write_results
from crosstower.recipe.recipe import Recipe
from crosstower.training.history import history, precision_words
from crosstower.training.run import Run


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Run:
    return fit(recipe, out=tmp_path / "run", quiet=True, seeds=2)


def test_missing_predictions_say_how_to_go_on(run: Run) -> None:
    (run.model_folder("wide_deep", 1) / "test.parquet").unlink()
    with pytest.raises(RunError, match="has not finished; continue with: crosstower fit --resume"):
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


def test_the_history_is_a_row_per_evaluation(run: Run) -> None:
    found = run.history()
    assert found.columns[:5] == ["model", "seed", "epoch", "step", "train_loss"]
    main = found.filter(model="wide_deep", seed=1)
    records = history(run, "wide_deep", 1)
    assert main["epoch"].to_list() == [1, 2, 3]
    assert main["click.auc"].to_list() == [record["valid"]["click.auc"] for record in records]
    best = main.filter("best_so_far")["click.log_loss"]
    assert best.last() == main["click.log_loss"].min()
    assert run.history("wide_deep").equals(found.filter(model="wide_deep"))
    with pytest.raises(RunError, match="no model 'wide_dep'; did you mean 'wide_deep'"):
        run.history("wide_dep")


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
