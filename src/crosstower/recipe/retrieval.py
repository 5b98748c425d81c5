"""The `retrieval` section of a recipe: what is retrieved, for whom, and how that is learnt."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from crosstower.recipe.frozen import FrozenModel

SeenRule = Literal["ignored", "missed", "shown"]
"""How answers count that the user already had: not at all, as misses, or like all others."""

BaselineName = Literal["popularity", "item_knn", "ease", "implicit_als", "bm25"]


class Negatives(FrozenModel):
    """What a positive is compared with at each step."""

    in_batch: bool = Field(default=True, description="The positives of the other rows.")
    uniform: int = Field(
        default=0, ge=0, description="Items drawn evenly from the catalogue, shared by the batch."
    )
    hard: int = Field(
        default=0,
        ge=0,
        description="Items a row from the model's own top list, seen ones left out.",
    )
    hard_pool: int = Field(
        default=200, ge=1, description="Length of that list; it is made again before each epoch."
    )


class Retrieval(FrozenModel):
    """Learn to find a row's item among all items. Every row (that fulfils `where`) is a positive.

    `sampled_softmax` is the cross-entropy over sampled candidates with logQ correction;
    `full_softmax` that over the whole catalogue, for up to some 100,000 items; `contrastive` the
    cosine contrastive loss of SimpleX; other names are registered losses of your own.
    """

    item: str = Field(description="Data column of the item's id.")
    user: str | None = Field(
        default=None,
        description="Data column of the user's id. If unset every row asks for itself, a search.",
    )
    time: str | None = Field(
        default=None,
        description="Data column that orders a user's rows; if unset the time of the split, or the"
        " file's order.",
    )
    history: str | None = Field(
        default=None,
        description="Sequence column of the schema to fill with the user's earlier items.",
    )
    items: str | None = Field(
        default=None,
        description="Table of all items, one row each, with the column `item`; if unset the items"
        " of all rows, positives or not, with the columns of their last training row.",
    )
    where: str | None = Field(
        default=None, description='Which rows are positives, such as "click == 1"; all if unset.'
    )
    objective: str = Field(default="sampled_softmax", min_length=1, description="Loss by name.")
    negatives: Negatives = Negatives()
    log_q: bool = Field(
        default=True, description="Correct for popular items being drawn more often as negatives."
    )
    mask_accidental: bool = Field(
        default=True, description="Leave out negatives that are the row's positive."
    )
    margin: float = Field(
        default=0.5, ge=-1, lt=1, description="contrastive: negatives below this cosine are left."
    )
    negative_weight: float = Field(
        default=10.0,
        gt=0,
        description="contrastive: of the mean over negatives; choose it by validation.",
    )
    exclude_seen: bool = Field(
        default=True, description="Never show a user an item of an earlier row."
    )
    seen_answers: Literal["ignore", "miss"] = Field(
        default="ignore",
        description="With exclude_seen, answers that the user already had are left out of the"
        " metrics, or count as misses.",
    )
    valid_questions: int | None = Field(
        default=3_000,
        ge=1,
        description="At most so many questions are ranked after an epoch; all test at the end.",
    )
    k: tuple[int, ...] = Field(default=(5, 10, 20), min_length=1)
    baselines: tuple[BaselineName, ...] | None = Field(
        default=None,
        description="If unset popularity, item_knn and ease with users, bm25 with texts to search.",
    )

    @field_validator("k")
    @classmethod
    def _ascending(cls, k: tuple[int, ...]) -> tuple[int, ...]:
        if min(k) < 1 or list(k) != sorted(set(k)):
            raise ValueError(f"lengths of at least 1 in ascending order, got {list(k)}")
        return k

    @property
    def seen_rule(self) -> SeenRule:
        """How answers count that the user already had."""
        if not self.exclude_seen:
            return "shown"
        return "missed" if self.seen_answers == "miss" else "ignored"

    @model_validator(mode="after")
    def _seen_answers_possible(self) -> Self:
        if "seen_answers" not in self.model_fields_set:
            return self
        if not self.exclude_seen:
            raise ValueError(
                "seen_answers: with exclude_seen: false nothing is left out, and such answers count"
                " like all others; drop seen_answers"
            )
        if self.user is None:
            raise ValueError("seen_answers needs user: COLUMN, who may have had an item before")
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        given = self.model_fields_set
        softmax = self.objective in ("sampled_softmax", "full_softmax")
        for name in ("time", "history"):
            if name in given and self.user is None:
                raise ValueError(f"{name} needs user: COLUMN, whose rows it looks at")
        n = self.negatives
        if self.objective == "full_softmax" and given & {"negatives", "log_q", "mask_accidental"}:
            raise ValueError(
                "full_softmax compares with every item: drop negatives, log_q and mask_accidental"
            )
        if self.objective == "contrastive":
            if n.uniform == 0 or given & {"log_q"} or "in_batch" in n.model_fields_set:
                raise ValueError(
                    "contrastive draws its negatives evenly: set negatives.uniform, drop in_batch"
                    " and log_q"
                )
        elif softmax and given & {"margin", "negative_weight"}:
            raise ValueError("margin and negative_weight only mean something with contrastive")
        if self.objective == "sampled_softmax" and not (n.in_batch or n.uniform or n.hard):
            raise ValueError("negatives: leave in_batch on, or set uniform or hard")
        return self
