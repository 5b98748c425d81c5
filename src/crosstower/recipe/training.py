"""The `training` section of a recipe."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from crosstower.recipe.frozen import FrozenModel


class Pretrained(FrozenModel):
    """Vectors that the embedding of a column starts from.

    >>> Pretrained(path="items.parquet", freeze=True).freeze
    True
    """

    path: str = Field(description="File of ids and vectors: the column's name and `vector`.")
    freeze: bool = Field(
        default=False, description="Whether the embedding stays as given; then all values need one."
    )

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, plain: Any) -> Any:
        return {"path": plain} if isinstance(plain, str) else plain


class Training(FrozenModel):
    """Options of the training loop and the optimisers; the defaults need no tuning.

    >>> Training(epochs=3, learning_rate=1e-2).patience
    5
    """

    epochs: int = Field(
        default=30,
        ge=1,
        description="Maximum number of epochs; early stopping usually ends earlier.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        description="Rows per step. Default: a power of two from 32 to 1024 (a retriever, whose"
        " batch gives negatives: 128 to 1024), with at least 100 steps per epoch if possible.",
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        description="Column of a list of rows, such as the request or the session. Batches hold"
        " whole groups, whose rows the losses ranknet, bpr, softmax and jrc compare.",
    )
    optimizer: Literal["adamw", "adagrad"] = Field(
        default="adamw", description="Optimiser of dense layers."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Learning rate of dense layers.")
    weight_decay: float = Field(
        default=1e-5,
        ge=0,
        description="Weight decay of dense layers: decoupled for adamw, added to the gradient for"
        " adagrad.",
    )
    embedding_learning_rate: float | None = Field(
        default=None,
        gt=0,
        description="Default: 0.001 for lazy_adam (0.01 in a retriever), 0.02 for rowwise_adagrad"
        " and adagrad.",
    )
    embedding_weight_decay: float = Field(
        default=0.0, ge=0, description="Decoupled weight decay of embeddings."
    )
    embedding_optimizer: Literal["lazy_adam", "rowwise_adagrad", "adagrad"] = Field(
        default="lazy_adam", description="Optimiser of the embedding tables."
    )
    wide_alpha: float = Field(
        default=0.05, gt=0, description="FTRL-proximal learning rate of the wide side."
    )
    wide_beta: float = Field(
        default=1.0, gt=0, description="Smoothing of the first FTRL-proximal steps."
    )
    wide_l1: float = Field(
        default=0.0, ge=0, description="L1 regularisation of the wide side, per row."
    )
    wide_l2: float = Field(
        default=1.0, ge=0, description="L2 regularisation of the wide side, per row."
    )
    task_balance: Literal["static", "uncertainty", "gradnorm", "pcgrad"] = Field(
        default="static", description="How the losses of several tasks are combined."
    )
    gradnorm_alpha: float = Field(
        default=1.5, ge=0, description="gradnorm: how strongly slow tasks are favoured."
    )
    clip_norm: float | None = Field(
        default=10.0, gt=0, description="Maximum norm of all gradients."
    )
    schedule: Literal["constant", "cosine", "linear"] = Field(
        default="constant", description="Decay of the learning rates over all epochs."
    )
    warmup_steps: int = Field(
        default=0, ge=0, description="Steps over which the learning rates rise from 0."
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Validate and keep an exponential moving average of the weights with this decay"
        " per step, such as 0.99 for the last hundred steps or so; unset for the weights"
        " themselves.",
    )
    monitor: str | None = Field(
        default=None,
        description="Validation metric TASK.METRIC (default: the loss of the first task). all.loss"
        " is the weighted mean over tasks of the loss relative to that of a constant.",
    )
    patience: int = Field(
        default=5,
        ge=1,
        description="Evaluations without improvement before stopping. Interactions of ids are often"
        " learned only after a plateau of a few epochs.",
    )
    evaluate_every: int | None = Field(
        default=None,
        ge=1,
        description="Steps between evaluations on the validation rows within an epoch; each epoch"
        " ends with one as well (default: only that).",
    )
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="Steps between checkpoints (default: one epoch)."
    )
    timeout: float = Field(
        default=600.0,
        gt=0,
        description="Seconds that one of several processes waits for the others in an exchange.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Precision of dense layers; auto decides by work and hardware."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto, cpu, cuda or cuda:N; auto is a GPU if there is one.",
    )
    tables: Literal["device", "host"] = Field(
        default="device",
        description="Location of embedding tables: the device, or host memory if it is too small.",
    )
    freeze: Literal["query_tower"] | None = Field(
        default=None,
        description="Part of a retriever that a warm start leaves unchanged: query_tower, so that"
        " new item vectors fit the queries of a served bundle.",
    )
    pretrained: dict[str, Pretrained] = Field(
        default={},
        description="Vectors that embeddings start from, by column: {COLUMN: {path, freeze}}, or"
        " {COLUMN: PATH}.",
    )
    refit: bool = Field(
        default=False,
        description="Retrain on train and validation rows for the best number of epochs, and test"
        " those weights.",
    )
    trackers: tuple[Literal["mlflow", "tensorboard", "wandb"], ...] = Field(
        default=(), description="Trackers of metrics, parameters and the report."
    )
    seed: int = Field(default=0, ge=0, description="First seed of the training runs.")

    @model_validator(mode="after")
    def _refit_counts_epochs(self) -> Self:
        if self.refit and self.evaluate_every is not None:
            raise ValueError(
                "refit: trains for the best number of whole epochs, which evaluate_every"
                f" ({self.evaluate_every}) does not give; drop one of them"
            )
        return self

    def batch_size_for(self, rows: int, *, smallest: int = 32) -> int:
        """Return the batch size for a number of training rows.

        Few rows need small batches: with 20 steps per epoch, a few epochs end before anything is
        learned.

        >>> [Training().batch_size_for(rows) for rows in (2_700, 9_000, 39_000, 10_000_000)]
        [32, 64, 256, 1024]

        Args:
            rows: of the training.
            smallest: lower bound of the default.

        """
        if self.batch_size is not None:
            return self.batch_size
        return min(max(2 ** (rows // 100).bit_length() // 2, smallest), 1024)
