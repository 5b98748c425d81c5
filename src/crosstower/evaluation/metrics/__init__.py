"""Metrics of predictions and of ranked lists, with their uncertainty; no torch."""

from crosstower.evaluation.metrics.auc import GroupAuc, group_auc, roc_auc
from crosstower.evaluation.metrics.binary import log_loss, majority_rate, normalised_entropy
from crosstower.evaluation.metrics.bootstrap import bootstrap_difference, bootstrap_interval
from crosstower.evaluation.metrics.calibration import (
    ReliabilityCurve,
    calibration_ratio,
    expected_calibration_error,
    reliability_curve,
)
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.ndcg import ndcg_per_group, total_at_k_per_group
from crosstower.evaluation.metrics.ranked_lists import catalogue_metrics, list_metrics
from crosstower.evaluation.metrics.registry import (
    LabelledPredictions,
    RankedLists,
    ShownItems,
    register_metric,
)
from crosstower.evaluation.metrics.regression import mae, mse, rmse
from crosstower.evaluation.metrics.summary import Difference, Summary, difference, summarise
from crosstower.evaluation.metrics.tasks import task_metrics
from crosstower.evaluation.metrics.uncertainty import (
    auc_difference_error,
    auc_standard_error,
    rmse_difference_error,
)

__all__ = [
    "Difference",
    "GroupAuc",
    "GroupValues",
    "LabelledPredictions",
    "RankedLists",
    "ReliabilityCurve",
    "ShownItems",
    "Summary",
    "auc_difference_error",
    "auc_standard_error",
    "bootstrap_difference",
    "bootstrap_interval",
    "calibration_ratio",
    "catalogue_metrics",
    "difference",
    "expected_calibration_error",
    "group_auc",
    "list_metrics",
    "log_loss",
    "mae",
    "majority_rate",
    "mse",
    "ndcg_per_group",
    "normalised_entropy",
    "register_metric",
    "reliability_curve",
    "rmse",
    "rmse_difference_error",
    "roc_auc",
    "summarise",
    "task_metrics",
    "total_at_k_per_group",
]
