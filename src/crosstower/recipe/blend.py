"""The `blend` section: how the predictions of several tasks become one score. No torch.

`mode: sum` scores a row by Σ_t w_t·g_t(p_t); `mode: product` by Π_t p_t^{a_t} times an amount, such
as a bid, which gives the expected revenue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.frozen import FrozenModel, former_keys
from crosstower.recipe.tasks import HeadKind

Transform = Literal["identity", "logit", "probit", "percentile", "standardise"]

ANY_OTHER = "*"
"""Key of `Diversity.caps` for all values without a cap of their own."""

_OF_PROBABILITIES = ("logit", "probit")


class Diversity(FrozenModel):
    """Diversity of the top of a list: caps per value, maximal marginal relevance, or both.

    `caps` limit the rows per value of the column `by` in the top `top`; `mmr` re-ranks by maximal
    marginal relevance (Carbonell & Goldstein 1998). With both, MMR chooses among the rows that the
    caps allow.

    >>> Diversity(by="content_type", caps={"ad": 2}).top
    10
    """

    # A content type may be a number, and YAML reads it as one.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    top: int = Field(default=10, ge=1, description="Number of top positions to diversify.")
    by: str | None = Field(default=None, description="Column that the caps apply to.")
    caps: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default={},
        description="Maximum rows per value in the top `top`; '*' means all other values.",
    )
    mmr: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Weight of relevance against novelty; 1 keeps the order.",
    )
    similar_by: tuple[str, ...] = Field(
        default=(),
        description="Columns that define similarity: the share in which two rows are equal.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.by is not None and not self.caps:
            raise ValueError(f"by: '{self.by}' has no caps; add some, as in caps: {{video: 3}}")
        if self.caps and self.by is None:
            raise ValueError(
                "caps: by is missing; set by: COLUMN, the column that holds the capped values"
            )
        if self.mmr is not None and not self.similar_by:
            raise ValueError(
                "mmr: similar_by is missing; set similar_by: [COLUMN, ...], which define similarity"
            )
        if self.similar_by and self.mmr is None:
            raise ValueError(
                "similar_by: mmr is missing; set mmr to a number in [0, 1]; 1 is relevance only"
            )
        if not self.caps and self.mmr is None:
            raise ValueError("nothing is set; set caps with by, or mmr with similar_by")
        return self

    def columns(self) -> list[str]:
        """Return the raw columns it needs, each once."""
        return list(dict.fromkeys([*([self.by] if self.by else []), *self.similar_by]))


class Blend(FrozenModel):
    """How the predictions of several tasks become one score; higher is better.

    >>> Blend(weights={"like": 1}, transform="percentile", by="content_type").columns()
    ['content_type']
    """

    weights: dict[str, float] = Field(
        min_length=1,
        description="Weight per task; the exponent in mode product. May be negative.",
    )
    mode: Literal["sum", "product"] = Field(
        default="sum",
        description="Weighted sum of transformed predictions, or product of powers times amount.",
    )
    transform: Transform | dict[str, Transform] = Field(
        default="identity",
        description="Transform of the predictions before the sum: one for all tasks, or per task."
        " A single identity, logit or probit applies to binary tasks; others are standardised.",
    )
    by: str | None = Field(
        default=None,
        description="Content type column; transforms are fitted per value.",
    )
    amount: str | None = Field(
        default=None, description="Bid or price column; a factor in mode product."
    )
    diversity: Diversity | None = Field(
        default=None, description="Diversity of the top of each list."
    )

    _former = former_keys({"form": "mode"}, {"value": "product"}, where="blend")

    @field_validator("weights")
    @classmethod
    def _usable(cls, weights: dict[str, float]) -> dict[str, float]:
        if not any(weights.values()):
            raise ValueError(
                "at least one weight must differ from 0, as all rows score the same otherwise"
            )
        return weights

    @field_validator("transform", mode="before")
    @classmethod
    def _known(cls, transform: Any) -> Any:
        allowed = list(get_args(Transform))
        for word in transform.values() if isinstance(transform, dict) else [transform]:
            if word not in allowed:
                raise ValueError(
                    f"no transform '{word}'{did_you_mean(str(word), allowed)};"
                    f" allowed: {', '.join(allowed)}"
                )
        return transform

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.mode == "product" and self.transform != "identity":
            raise ValueError(
                "transform: mode product multiplies untransformed predictions; remove transform, or"
                " use mode: sum"
            )
        if self.mode == "product" and self.by is not None:
            raise ValueError(
                "by: mode product fits nothing per content type; remove by, or use mode: sum"
            )
        if self.mode == "sum" and self.amount is not None:
            raise ValueError(
                f"amount: '{self.amount}' is a factor in mode product only; set mode: product"
            )
        for task in self.transform if isinstance(self.transform, dict) else ():
            if task not in self.weights:
                raise ValueError(
                    f"transform: task '{task}' has no weight{did_you_mean(task, [*self.weights])};"
                    f" weights are given for: {', '.join(self.weights)}"
                )
        return self

    def transform_of(self, task: str, kind: HeadKind) -> Transform:
        """Return the transform of the predictions of a task.

        A transform given per task is used as it is. A single identity, logit or probit for all
        tasks applies to probabilities; regressions and ratings are standardised instead, so that
        their unit does not decide their weight.

        >>> Blend(weights={"click": 1, "watch_time": 1}).transform_of("watch_time", "regression")
        'standardise'
        """
        named = self.transform if isinstance(self.transform, dict) else {}
        if task in named:
            return named[task]
        word = "identity" if isinstance(self.transform, dict) else self.transform
        plain = word in ("identity", *_OF_PROBABILITIES)
        return "standardise" if plain and kind != "binary" else word

    def columns(self) -> list[str]:
        """Return the raw columns that scoring and diversity need, each once."""
        names = [name for name in (self.by, self.amount) if name is not None]
        return list(dict.fromkeys(names + (self.diversity.columns() if self.diversity else [])))


def check_blend(blend: Blend, tasks: Mapping[str, HeadKind]) -> None:
    """Check a blend against the tasks of a model.

    Raises:
        RecipeError: it weights an unknown task, or sets logit or probit for a task that does not
            predict probabilities.

    """
    for task in blend.weights:
        if task not in tasks:
            raise RecipeError(
                f"blend.weights: no task '{task}'{did_you_mean(task, list(tasks))};"
                f" tasks: {', '.join(tasks)}"
            )
    named = blend.transform if isinstance(blend.transform, dict) else {}
    for task, transform in named.items():
        if transform in _OF_PROBABILITIES and tasks[task] != "binary":
            raise RecipeError(
                f"blend.transform: {transform} needs probabilities, and '{task}' is a {tasks[task]}"
                " task; use percentile or standardise"
            )


def parse_weights(text: str) -> dict[str, float]:
    """Parse weights as typed on the command line.

    >>> parse_weights("like=1, comment=2.5")
    {'like': 1.0, 'comment': 2.5}

    Raises:
        RecipeError: a part is not TASK=NUMBER, or a task is repeated.

    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        task, equals, number = (piece.strip() for piece in part.partition("="))
        weight = _number(number)
        if not task or not equals or weight is None:
            raise RecipeError(
                f"weights '{text}': expected TASK=NUMBER, as in like=1,comment=2, got '{part}'"
            )
        if task in weights:
            raise RecipeError(f"weights '{text}': task '{task}' is repeated; give it once")
        weights[task] = weight
    return weights


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
