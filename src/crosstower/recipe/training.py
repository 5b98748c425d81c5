"""The `training` section of a recipe: how the weights are found."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crosstower.recipe.frozen import FrozenModel


class Training(FrozenModel):
    """How the weights are found. Defaults are meant to learn without tuning."""

    epochs: int = Field(
        default=30, ge=1, description="At most; early stopping usually ends before."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        description="Rows a step. If unset, a power of two from 128 to 1024 that gives an epoch at"
        " least 100 steps where that is possible.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Of dense layers (AdamW).")
    weight_decay: float = Field(default=1e-5, ge=0, description="Of dense layers, decoupled.")
    embedding_learning_rate: float | None = Field(
        default=None, gt=0, description="0.001 for lazy_adam, 0.02 for rowwise_adagrad if unset."
    )
    embedding_weight_decay: float = Field(
        default=0.0, ge=0, description="Of touched rows, decoupled."
    )
    embedding_optimizer: Literal["lazy_adam", "rowwise_adagrad"] = "lazy_adam"
    wide_alpha: float = Field(
        default=0.05, gt=0, description="FTRL-proximal learning rate, wide side."
    )
    wide_beta: float = Field(default=1.0, gt=0)
    wide_l1: float = Field(default=0.0, ge=0)
    wide_l2: float = Field(default=1.0, ge=0)
    task_balance: Literal["static", "uncertainty", "gradnorm", "pcgrad"] = Field(
        default="static", description="How the losses of several tasks become one step."
    )
    gradnorm_alpha: float = Field(
        default=1.5, ge=0, description="How much more a task pulls that is behind, with gradnorm."
    )
    clip_norm: float | None = Field(default=10.0, gt=0, description="Limit of the gradients' norm.")
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    monitor: str | None = Field(
        default=None,
        description="TASK.METRIC of the valid rows; the first task's loss if unset. all.loss is the"
        " weighted mean over tasks of the loss relative to that of a constant.",
    )
    patience: int = Field(
        default=5,
        ge=1,
        description="Epochs without improvement before stopping. What only pairs of ids tell is"
        " often learnt after a plateau of a few epochs.",
    )
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="Steps; each epoch if unset."
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    tables: Literal["device", "host"] = Field(
        default="device",
        description="Embedding tables on the device, or in host memory if it cannot hold them.",
    )
    refit: bool = Field(
        default=False,
        description="Train again on train and valid rows together, for the number of epochs that"
        " was best, and test those weights.",
    )
    seed: int = Field(default=0, ge=0)

    def batch_size_for(self, rows: int) -> int:
        """Return the batch size for a number of training rows.

        Few rows need small batches: with 20 steps an epoch an early stop comes before anything
        is learnt.

        >>> [Training().batch_size_for(rows) for rows in (5_000, 39_000, 10_000_000)]
        [128, 256, 1024]
        """
        if self.batch_size is not None:
            return self.batch_size
        return min(max(2 ** (rows // 100).bit_length() // 2, 128), 1024)
