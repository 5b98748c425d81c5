import math

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from crosstower.errors import DataError
from crosstower.evaluation.metrics.tasks import task_metrics
from crosstower.evaluation.reports.task_report import task_report

ROWS = 4000


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def predictions(noise: float, seed: int) -> pl.DataFrame:
    """Rows of a world whose truth is known, scored with some noise; a tenth has no label."""
    world, random = np.random.default_rng(0), np.random.default_rng(seed + 100)
    score = world.normal(size=ROWS)
    truth = sigmoid(score - 1.5)
    click = (world.random(ROWS) < truth).astype(float)
    seen = score + noise * random.normal(size=ROWS)
    return pl.DataFrame(
        {
            "user": world.integers(0, 100, ROWS),
            "city": world.choice(["Rome", "Oslo"], ROWS),
            "truth": truth,
            "click": pl.Series(click).set(pl.Series(world.random(ROWS) < 0.1), None),
            "click__prediction": sigmoid(seen - 1.5),
            "watch": 10 + score + world.normal(size=ROWS),
            "watch__prediction": 10 + seen,
        }
    )


MODELS = {
    "DCN-V2": [predictions(0.1, seed) for seed in (0, 1)],
    "logistic regression": [predictions(1.5, seed) for seed in (2, 3)],
}


def click(models=MODELS, **options):
    return task_report(task="click", kind="binary", models=models, constant=0.2, **options)


def test_models_come_in_order_with_the_metrics_of_their_seeds():
    report = click(group="user", true_probability="truth")
    roles = [(m.name, m.role) for m in report.models]
    assert roles == [
        ("DCN-V2", "model"),
        ("logistic regression", "baseline"),
        ("Constant base rate", "constant"),
        ("Best possible", "best"),
    ]
    known = [f.drop_nulls("click") for f in MODELS["DCN-V2"]]
    aucs = [sk.roc_auc_score(f["click"], f["click__prediction"]) for f in known]
    auc = report.models[0].metrics["auc"]
    assert (auc.mean, auc.sd) == pytest.approx((np.mean(aucs), np.std(aucs, ddof=1)))
    assert report.rows == len(known[0])
    truth = sk.roc_auc_score(known[0]["click"], known[0]["truth"])
    assert report.models[3].metrics["auc"].mean == pytest.approx(truth)
    assert "gauc" in report.models[1].metrics


def test_lifts_are_model_minus_baseline():
    report = click()
    model, baseline, constant = (m.metrics for m in report.models)
    lift, over_constant = report.lifts
    assert lift.difference.value == pytest.approx(model["auc"].mean - baseline["auc"].mean)
    saved = 1 - model["log_loss"].mean / baseline["log_loss"].mean
    assert lift.reductions["log_loss"] == pytest.approx(saved)
    entropies = [m["normalised_entropy"].mean for m in (model, baseline)]
    assert saved == pytest.approx(1 - entropies[0] / entropies[1])
    assert over_constant.difference.value == pytest.approx(model["auc"].mean - 0.5)
    assert constant["auc"].mean == 0.5


def test_a_good_model_is_told_so_in_words():
    words = " ".join(click(true_probability="truth").verdicts)
    assert "is better than chance (0.5)." in words
    assert "DCN-V2 beats logistic regression by" in words
    assert "the best possible AUC" in words
    assert "the majority class" in words
    assert "right on average" in words


def test_a_model_of_noise_is_told_so_in_words():
    noise = MODELS["DCN-V2"][0].with_columns(
        click__prediction=pl.Series(np.random.default_rng(5).random(ROWS))
    )
    words = " ".join(click({"noise": [noise], **MODELS}).verdicts)
    assert "no better than chance (0.5)." in words
    assert "noise is worse than the logistic regression baseline by" in words
    assert "is below the majority class" in words
    assert "too much (" in words


def test_a_regression_is_compared_with_the_mean():
    report = task_report(task="watch", kind="regression", models=MODELS, constant=10.0)
    assert [m.name for m in report.models][-1] == "Constant mean"
    frame = MODELS["DCN-V2"][0]
    constant = sk.root_mean_squared_error(frame["watch"], np.full(ROWS, 10.0))
    assert report.models[-1].metrics["rmse"].mean == pytest.approx(constant)
    assert f"below always predicting the mean ({constant:.3f})" in report.verdicts[0]
    assert report.verdicts[1].startswith("DCN-V2 beats logistic regression by")
    assert set(report.lifts[0].reductions) == {"rmse", "mae"}


def test_calibration_counts_every_row_of_the_first_seed():
    calibration = click().calibration
    assert calibration is not None
    assert calibration.counts.sum() == calibration.curve.count.sum() == click().rows


def test_slices_are_of_the_first_seed():
    report = click(slices=("city", "user"), id_columns=("user",))
    frame = MODELS["DCN-V2"][0].drop_nulls("click").filter(pl.col("city") == "Rome")
    row = report.slices[0].table.filter(pl.col("slice") == "Rome").row(0, named=True)
    assert row["auc"] == pytest.approx(sk.roc_auc_score(frame["click"], frame["click__prediction"]))
    assert report.slices[1].table["slice"][-1] == "other (90 values)"


@pytest.mark.parametrize(("label", "said"), [(0.0, "labels are 0"), (1.0, "labels are 1")])
def test_one_class_only_is_said_and_nothing_is_compared(label, said):
    frames = {
        name: [f.with_columns(click=pl.lit(label)) for f in fs] for name, fs in MODELS.items()
    }
    report = click(frames, true_probability="truth")
    assert said in report.verdicts[0]
    assert not any(
        "beats" in sentence or "best possible" in sentence for sentence in report.verdicts
    )
    assert math.isnan(report.models[0].metrics["auc"].mean)


@pytest.mark.parametrize("missing", [None, math.nan])
def test_no_labels_at_all_is_said(missing):
    frames = {
        name: [f.with_columns(click=pl.lit(missing, pl.Float64)) for f in fs]
        for name, fs in MODELS.items()
    }
    report = click(frames, true_probability="truth", slices=("city",))
    assert report.verdicts == ("No test row has a label for this task, so it has no metrics.",)
    assert report.rows == 0
    assert report.calibration is None


def test_metrics_are_those_of_task_metrics():
    frame = MODELS["DCN-V2"][0]
    report = click({"DCN-V2": [frame]})
    y = frame["click"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    expected = task_metrics("binary", y, frame["click__prediction"].to_numpy())
    assert {m: s.mean for m, s in report.models[0].metrics.items()} == pytest.approx(expected)


def test_wrong_predictions_are_named():
    frame = MODELS["DCN-V2"][0]
    with pytest.raises(DataError, match="no column 'clik'; did you mean 'click'"):
        task_report(task="clik", kind="binary", models=MODELS, constant=0.2)
    with pytest.raises(DataError, match="no column 'use'; did you mean 'user'"):
        click(group="use")
    with pytest.raises(DataError, match=r"labels of 'b' differ .* same test rows"):
        click({"a": [frame], "b": [frame.reverse()]})
    with pytest.raises(DataError, match="at least one seed of every model"):
        click({"a": []})
    with pytest.raises(DataError, match="no column 'click__prediction'"):
        click({"a": [frame.drop("click__prediction")]})
