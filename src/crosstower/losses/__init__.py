"""Losses from logits and labels, and the balancing of several tasks' losses.

Shapes use the letters of the legend in `crosstower.data.layout`.
"""

from crosstower.losses.frequency import StreamingFrequency
from crosstower.losses.gradient_balance import GradNormBalance, PCGradBalance
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.sampled_softmax import (
    cosine_contrastive_loss,
    mixed_log_q,
    sampled_softmax_loss,
)
from crosstower.losses.task_balance import Balance, StaticBalance, UncertaintyBalance
from crosstower.losses.tasks import task_loss, task_losses

__all__ = [
    "Balance",
    "GradNormBalance",
    "PCGradBalance",
    "PointwiseObjective",
    "StaticBalance",
    "StreamingFrequency",
    "UncertaintyBalance",
    "cosine_contrastive_loss",
    "mixed_log_q",
    "sampled_softmax_loss",
    "task_loss",
    "task_losses",
]
