import math

import pytest

from crosstower.evaluation.metrics.summary import Difference, Summary
from crosstower.evaluation.reports.verdict import (
    accuracy_verdict,
    auc_verdict,
    baseline_verdict,
    best_verdict,
    mean_verdict,
    rmse_verdict,
)


@pytest.mark.parametrize(
    ("auc", "classes", "sentence"),
    [
        (Summary(0.512), (1000, 1000), "AUC 0.512 ± 0.013 is no better than chance (0.5)."),
        (Summary(0.53, 0.02, 3), (9**7, 9**7), "AUC 0.530 ± 0.020 is no better than chance (0.5)."),
        (Summary(0.6), (1000, 1000), "AUC 0.600 ± 0.013 is better than chance (0.5)."),
        (
            Summary(0.4),
            (1000, 1000),
            "AUC 0.400 ± 0.013 is worse than chance (0.5): the scores rank backwards.",
        ),
        (
            Summary(float("nan")),
            (0, 1200),
            "AUC is not defined: all 1,200 labels are 0; it needs rows of both classes.",
        ),
        (
            Summary(float("nan")),
            (7, 0),
            "AUC is not defined: all 7 labels are 1; it needs rows of both classes.",
        ),
        (Summary(float("nan")), (0, 0), "AUC is not defined: no row has a label."),
    ],
)
def test_auc(auc, classes, sentence):
    assert auc_verdict(auc, positives=classes[0], negatives=classes[1]) == sentence


@pytest.mark.parametrize(
    ("accuracy", "sentence"),
    [
        (
            0.8912,
            (
                "Accuracy 0.891 equals the majority class (0.891): the model has learned nothing"
                " that accuracy shows."
            ),
        ),
        (0.893, "Accuracy 0.893 is no better than the majority class (0.891)."),
        (0.91, "Accuracy 0.910 beats the majority class (0.891)."),
        (0.85, "Accuracy 0.850 is below the majority class (0.891)."),
    ],
)
def test_accuracy(accuracy, sentence):
    assert accuracy_verdict(Summary(accuracy), majority_rate=0.891, rows=10_000) == sentence


@pytest.mark.parametrize(
    ("predicted", "error", "worst", "end"),
    [
        (
            0.0560,
            0.001,
            6.0,
            "5.60 % on average where 5.00 % was observed: 12 % too much (6.0 sd)",
        ),
        (
            0.0450,
            0.001,
            5.0,
            "where 5.00 % was observed: 10 % too little (5.0 sd)",
        ),
        (
            0.0508,
            1e-5,
            80.0,
            "where 5.00 % was observed: 1.6 % too much (80.0 sd)",
        ),
        (0.0508, 0.001, 0.8, "5.08 % on average where 5.00 % was observed: right on average."),
        (0.0508, 0.001, -3.0, "observed: right over all seeds, but one seed is 3.0 sd off."),
        (0.0560, 0.010, 0.6, "observed: no bias beyond the noise, which hides one of up to 40 %."),
        (0.0560, 0.0, math.inf, "observed: 12 % too much (no noise)."),
        (0.0560, math.nan, math.nan, "observed, in one row: too few for a verdict."),
    ],
)
def test_predictions_on_average(predicted, error, worst, end):
    found = mean_verdict(predicted, 0.05, error=error, worst=worst, percent=True)
    assert end in found


def test_a_mean_of_numbers_has_their_unit():
    found = mean_verdict(3.5, 3.0, error=0.1, worst=5.0, percent=False)
    assert found == "Predicts 3.500 on average where 3.000 was observed: 17 % too much (5.0 sd)."
    none = mean_verdict(0.5, 0.0, error=0.1, worst=5.0, percent=False)
    assert none == "Predicts 0.500 on average where 0.000 was observed: 0.500 too much (5.0 sd)."


def test_equal_labels_leave_nothing_to_beat():
    same = Difference("rmse", 0.1, 0.01)
    assert "all labels are equal" in rmse_verdict(same, rmse=Summary(0.1), rmse_of_mean=0.0)


@pytest.mark.parametrize(
    ("gap", "sentence"),
    [
        (-0.10, "RMSE 0.900 ± 0.010 is 10 % below always predicting the mean (1.000)."),
        (0.015, "RMSE 1.015 ± 0.010 is no better than always predicting the mean (1.000)."),
        (0.20, "RMSE 1.200 ± 0.010 is 20 % above always predicting the mean (1.000)."),
    ],
)
def test_rmse(gap, sentence):
    versus_mean = Difference("rmse", gap, 0.01)
    assert rmse_verdict(versus_mean, rmse=Summary(1 + gap), rmse_of_mean=1.0) == sentence


@pytest.mark.parametrize(
    ("lift", "sentence"),
    [
        (Difference("auc", 0.0124, 0.004), "DCN-V2 beats MLP by 0.012 AUC (3.1 sd)."),
        (
            Difference("auc", 0.003, 0.004),
            "DCN-V2 is no better than the MLP baseline (0.003 AUC higher, 0.8 sd).",
        ),
        (
            Difference("auc", -0.00004, 0.004),
            "DCN-V2 is no better than the MLP baseline (4e-05 AUC lower, 0.0 sd).",
        ),
        (
            Difference("auc", 0.0, 0.0),
            "DCN-V2 is no better than the MLP baseline (0.000 AUC higher, no noise).",
        ),
        (
            Difference("auc", -0.02, 0.004),
            "DCN-V2 is worse than the MLP baseline by 0.020 AUC (5.0 sd).",
        ),
        (Difference("rmse", -0.2, 0.05), "DCN-V2 beats MLP by 0.200 RMSE (4.0 sd)."),
    ],
)
def test_baseline(lift, sentence):
    assert baseline_verdict("DCN-V2", "MLP", lift) == sentence


@pytest.mark.parametrize(
    ("gap", "sentence"),
    [
        (-0.004, "DCN-V2 is 0.004 below the best possible AUC 0.657."),
        (-0.001, "DCN-V2 reaches the best possible AUC 0.657: the rest (0.001) is noise."),
        (
            0.01,
            (
                "DCN-V2 is 0.010 better than the best possible AUC 0.657: look for a label among"
                " its inputs."
            ),
        ),
    ],
)
def test_best(gap, sentence):
    assert best_verdict("DCN-V2", Difference("auc", gap, 0.001), best=0.657) == sentence


def test_best_of_an_error_is_a_lower_limit():
    sentence = best_verdict("DCN-V2", Difference("rmse", 0.1, 0.01), best=1.0)
    assert sentence == "DCN-V2 is 0.100 above the best possible RMSE 1.000."
