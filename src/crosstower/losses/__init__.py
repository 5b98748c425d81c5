"""Losses from logits and labels, and the balancing of several tasks' losses.

Shapes use the letters of the legend in `crosstower.data.layout`.
"""

from crosstower.losses.contrastive import cosine_contrastive_loss
from crosstower.losses.frequency import StreamingFrequency
from crosstower.losses.gbce import gbce_loss
from crosstower.losses.gradient_balance import GradNormBalance, PCGradBalance
from crosstower.losses.pointwise import (
    PointwiseObjective,
    cross_entropy,
    squared_error,
    task_loss,
    task_losses,
)
from crosstower.losses.registry import Candidates, RetrievalStep, register_loss
from crosstower.losses.sampled_softmax import mixed_log_q, sampled_softmax_loss
from crosstower.losses.task_balance import Balance, StaticBalance, UncertaintyBalance

__all__ = [
    "Balance",
    "Candidates",
    "GradNormBalance",
    "PCGradBalance",
    "PointwiseObjective",
    "RetrievalStep",
    "StaticBalance",
    "StreamingFrequency",
    "UncertaintyBalance",
    "cosine_contrastive_loss",
    "cross_entropy",
    "gbce_loss",
    "mixed_log_q",
    "register_loss",
    "sampled_softmax_loss",
    "squared_error",
    "task_loss",
    "task_losses",
]
