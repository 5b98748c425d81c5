"""The limits of the gate, section `gate` of a plan."""

from __future__ import annotations

from pydantic import Field, model_validator

from crosstower.recipe.frozen import FrozenModel


class GateLimits(FrozenModel):
    """How much worse than the live bundle a new one may be on the newest rows.

    >>> GateLimits(max_loss=0.002).confidence
    0.95
    """

    max_loss: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Tolerated loss: of AUC, NDCG and recall in points, of log loss and RMSE as a"
        " share of the live bundle's.",
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1.0,
        description="Confidence with which the bundle must be worse to be rejected, over all"
        " comparisons together.",
    )
    calibration: tuple[float, float] | None = Field(
        default=(0.8, 1.25),
        description="Allowed sum of predictions / sum of labels of binary tasks; null: any.",
    )
    drift: float | None = Field(
        default=0.25,
        gt=0.0,
        description="Largest population stability index between the predictions of both bundles,"
        " unless the new ones are better; null: any.",
    )
    min_rows: int = Field(default=500, ge=2, description="Minimum number of rows to compare on.")
    min_users: int = Field(
        default=20, ge=2, description="Minimum number of users, or lists, per comparison."
    )
    max_rows: int = Field(
        default=200_000,
        ge=2,
        description="Maximum number of rows to compare on; more are sampled by user.",
    )
    k: int = Field(default=10, ge=1, description="Length of the lists of NDCG and recall.")
    samples: int = Field(default=1_000, ge=100, description="Resamples of the bootstrap.")
    seed: int = Field(default=0, ge=0, description="Seed of the samples.")
    smoke: bool = Field(
        default=True,
        description="Open the bundle as a server does, and send it a few requests first.",
    )

    @model_validator(mode="after")
    def _check_calibration(self) -> GateLimits:
        if self.calibration is not None and not 0.0 < self.calibration[0] < self.calibration[1]:
            raise ValueError(
                "calibration: expected two numbers above 0 in ascending order, such as [0.8, 1.25],"
                f" got {list(self.calibration)}"
            )
        return self
