"""The `blend` section: how the scores of several tasks become one order. No torch.

`form: sum` gives a row the score Σ_t w_t·g_t(p_t), `form: value` the product Π_t p_t^{a_t} times an
amount, such as a bid: the expected revenue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.tasks import HeadKind

Transform = Literal["identity", "logit", "probit", "percentile", "standardise"]

ANY_OTHER = "*"
"""The key of `Diversity.caps` that stands for every value without a cap of its own."""

_OF_PROBABILITIES = ("logit", "probit")


class Diversity(FrozenModel):
    """What the first places of a list must not be: many of one kind, or all alike.

    `caps` allow at most so many rows of a value of the column `by` in the first `top` places;
    `mmr` picks by maximal marginal relevance (Carbonell & Goldstein 1998). Both may be set: MMR
    then chooses among the rows that the caps allow.
    """

    # A content type may be a number; YAML would give it as one.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    top: int = Field(default=10, ge=1, description="The first places, which it looks after.")
    by: str | None = Field(default=None, description="Column whose values have caps.")
    caps: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default={},
        description="At most so many rows of a value in the first `top`; '*' is any other value.",
    )
    mmr: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of relevance against novelty; 1 leaves the order as it is.",
    )
    similar_by: tuple[str, ...] = Field(
        default=(),
        description="Columns to compare: two rows are alike by the share in which they are equal.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.by is not None and not self.caps:
            raise ValueError(f"by: '{self.by}' has no caps; add them, as in caps: {{video: 3}}")
        if self.caps and self.by is None:
            raise ValueError("caps need by: COLUMN, which holds the values that they name")
        if self.mmr is not None and not self.similar_by:
            raise ValueError("mmr needs similar_by: [COLUMN, ...], by which rows are alike")
        if self.similar_by and self.mmr is None:
            raise ValueError("similar_by needs mmr, a number from 0 to 1; 1 is relevance alone")
        if not self.caps and self.mmr is None:
            raise ValueError("diversity needs caps with by, or mmr with similar_by; set one")
        return self

    def columns(self) -> list[str]:
        """Return the raw columns that it looks at, each once."""
        return list(dict.fromkeys([*([self.by] if self.by else []), *self.similar_by]))


class Blend(FrozenModel):
    """How the predictions of several tasks make one score, higher being better.

    >>> Blend(weights={"like": 1}, transform="percentile", by="content_type").columns()
    ['content_type']
    """

    weights: dict[str, float] = Field(
        min_length=1, description="By task; in form value the exponents. May be negative."
    )
    form: Literal["sum", "value"] = "sum"
    transform: Transform | dict[str, Transform] = Field(
        default="identity",
        description="What is done to predictions before they are added: one for all tasks, or by"
        " task. One word that needs probabilities leaves other tasks standardised.",
    )
    by: str | None = Field(
        default=None,
        description="Column of the content type: transforms are fitted per value of it.",
    )
    amount: str | None = Field(
        default=None, description="Column of the bid or price, which form value multiplies with."
    )
    diversity: Diversity | None = None

    @field_validator("weights")
    @classmethod
    def _usable(cls, weights: dict[str, float]) -> dict[str, float]:
        if not any(weights.values()):
            raise ValueError("at least one weight must not be 0, or all rows score the same")
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
        if self.form == "value" and self.transform != "identity":
            raise ValueError(
                "transform: form value multiplies the predictions as they are; remove it, or use"
                " form: sum"
            )
        if self.form == "value" and self.by is not None:
            raise ValueError(
                "by: form value fits nothing per content type; remove it, or use form: sum"
            )
        if self.form == "sum" and self.amount is not None:
            raise ValueError(f"amount: '{self.amount}' is multiplied in form value only; set that")
        for task in self.transform if isinstance(self.transform, dict) else ():
            if task not in self.weights:
                raise ValueError(
                    f"transform: task '{task}' has no weight{did_you_mean(task, [*self.weights])};"
                    f" weights are given for: {', '.join(self.weights)}"
                )
        return self

    def transform_of(self, task: str, kind: HeadKind) -> Transform:
        """Return what is done to the predictions of a task before they are weighted.

        A transform given by name holds. One word for all tasks (and the default) means
        probabilities where it is identity, logit or probit: a regression or rating is standardised
        instead, or its unit alone would decide how much it counts.

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
    """Refuse a blend that does not fit the tasks of a model.

    Raises:
        RecipeError: it weights a task that is not there, or asks by name for the logit or probit
            of a number.

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
                f"blend.transform: {transform} of task '{task}' needs a probability, and this is a"
                f" {tasks[task]} task; use percentile or standardise"
            )


def parse_weights(text: str) -> dict[str, float]:
    """Return the weights in a text as typed at the command line.

    >>> parse_weights("like=1, comment=2.5")
    {'like': 1.0, 'comment': 2.5}

    Raises:
        RecipeError: a part is not TASK=NUMBER, or a task comes twice.

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
            raise RecipeError(f"weights '{text}': task '{task}' is given twice; give it once")
        weights[task] = weight
    return weights


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
