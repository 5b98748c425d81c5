"""The `retrieval` section of a recipe: items, users, loss and negatives."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from crosstower.recipe.frozen import FrozenModel, former_keys
from crosstower.recipe.named_loss import NamedLoss, name_of, named, options_of, with_option
from crosstower.recipe.renamed import warn_renamed

SeenRule = Literal["ignored", "missed", "shown"]
"""How relevant items in the history count: not at all, as misses, or like all others."""

_RENAMED = {"valid_questions": "valid_queries", "seen_answers": "seen_relevant"}

_FORMER_OPTIONS: dict[str, tuple[str, ...]] = {
    "sampled_softmax": (),
    "full_softmax": (),
    "contrastive": ("margin", "negative_weight"),
    "gbce": ("calibration",),
}
"""Keys that are now options of an objective, by its name."""

BaselineName = Literal[
    "popularity",
    "item_knn",
    "transition_graph",
    "ease",
    "graph_filter",
    "bspm",
    "implicit_als",
    "bm25",
]


class Negatives(FrozenModel):
    """Negatives that each positive is compared with.

    >>> Negatives(uniform=500, hard=2).in_batch
    True
    """

    in_batch: bool = Field(
        default=True, description="Use the positives of the other rows in the batch."
    )
    uniform: int = Field(
        default=0,
        ge=0,
        description="Number of items sampled uniformly from the catalogue, per batch.",
    )
    hard: int = Field(
        default=0,
        ge=0,
        description="Items per row from the top of the model's own list, without the history.",
    )
    hard_pool: int = Field(
        default=200, ge=1, description="Length of that list, which is rebuilt before each epoch."
    )


EventType = Annotated[str, Field(min_length=1, max_length=64, pattern=r"\S")]


class History(FrozenModel):
    """A user's history: the column that it fills, and the events that extend it in a server.

    A sequence column is filled with the user's earlier items. For data without an order, a bag is
    filled with the user's other items. The text `had` is short for `{column: had}`.

    >>> History(column="had", events=("click", "purchase")).length
    100
    """

    column: str | None = Field(
        default=None,
        description="Sequence column to fill with the user's earlier items, or bag to fill with the"
        " other items; unset if the query tower reads neither.",
    )
    folds: int = Field(
        default=2,
        ge=2,
        description="Bag: number of parts into which each epoch divides a user's training items at"
        " random. The history of a row is the items of the other parts; all other items, if there"
        " are as many folds as items.",
    )
    events: tuple[EventType, ...] = Field(
        default=(),
        description="Types of events that extend the history, and the exclusions, in a server.",
    )
    length: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Maximum number of such events per user; the newest count.",
    )

    @property
    def trained(self) -> dict[str, object]:
        """The options that training depends on; the others act only in a server."""
        return {"column": self.column, "folds": self.folds}

    @model_serializer(mode="wrap")
    def _short(self, whole: SerializerFunctionWrapHandler) -> Any:
        plain = not self.events and "folds" not in self.model_fields_set
        return self.column if plain else whole(self)

    @model_validator(mode="after")
    def _events_make_sense(self) -> Self:
        twice = [name for name in self.events if self.events.count(name) > 1]
        if twice:
            raise ValueError(f"events: '{twice[0]}' is named twice; name each type once")
        if "length" in self.model_fields_set and not self.events:
            raise ValueError(
                "length: has no effect without events, as it limits their number; set events,"
                " as in events: [click], or drop length"
            )
        return self


class Retrieval(FrozenModel):
    """Learn to retrieve the item of a row. Every row that matches `where` is a positive.

    `sampled_softmax` is the cross-entropy over sampled items with logQ correction, `full_softmax`
    the cross-entropy over the whole catalogue (up to about 100,000 items), `gbce` the generalised
    binary cross-entropy of gSASRec, and `contrastive` the cosine contrastive loss of SimpleX. Other
    names are losses that you registered. Options of a loss are given with its name, as in
    `{name: gbce, calibration: 0.5}`.

    >>> Retrieval(item="film", user="user", where="liked == 1").objective
    'sampled_softmax'
    """

    item: str = Field(description="Item id column of the data.")
    user: str | None = Field(
        default=None,
        description="User id column of the data; if unset, every row is its own query.",
    )
    time: str | None = Field(
        default=None,
        description="Data column that orders a user's rows (default: the split's time, or the file"
        " order).",
    )
    history: History = Field(
        default=History(),
        description="Sequence column to fill with the user's earlier items, or bag to fill with the"
        " other items; or a mapping that also names the events that extend it in a server.",
    )
    segment: str | None = Field(
        default=None,
        description="Data column of a user's segment, such as country: without more information,"
        " a query gets the popular items of its segment.",
    )
    items: str | None = Field(
        default=None,
        description="Table with one row per item and the column `item`. If unset, items come from"
        " all rows, with the columns of their last training row.",
    )
    where: str | None = Field(
        default=None,
        description='Condition for positives, such as "click == 1" (default: all rows).',
    )
    start: Literal["random", "spectral"] = Field(
        default="random",
        description="Initial vectors of items and their bag: random, or spectral, the leading"
        " singular vectors of the training pairs, for an id-only retriever.",
    )
    objective: str | NamedLoss = Field(
        default="sampled_softmax", description="Loss by name, or {name: ..., OPTION: ...}."
    )
    negatives: Negatives = Field(default=Negatives(), description="Sampling of negatives.")
    log_q: bool = Field(
        default=True, description="Correct for popular items being sampled more often as negatives."
    )
    mask_accidental: bool = Field(
        default=True, description="Leave out negatives that equal the row's positive."
    )
    exclude_seen: bool = Field(
        default=True, description="Exclude the user's history from the lists."
    )
    seen_relevant: Literal["ignore", "miss"] = Field(
        default="ignore",
        description="With exclude_seen, relevant items in the history are ignored, or count as"
        " misses.",
    )
    valid_queries: int | None = Field(
        default=3_000,
        ge=1,
        description="Maximum number of validation queries ranked after an epoch; null for all.",
    )
    k: tuple[int, ...] = Field(
        default=(5, 10, 20), min_length=1, description="List lengths of the metrics."
    )
    baselines: tuple[BaselineName, ...] | None = Field(
        default=None,
        description="Default: popularity; item_knn and ease with users, transition_graph if their"
        " rows are ordered by time, graph_filter if their history is a bag; bm25 with text"
        " queries. bspm and implicit_als are fitted only if named.",
    )

    _former = former_keys(_RENAMED, where="retrieval")

    @model_validator(mode="before")
    @classmethod
    def _former_options(cls, plain: Any) -> Any:
        """Move options of an objective that have keys of their own, as before, into it."""
        if not isinstance(plain, dict):
            return plain
        left = dict(plain)
        for of, names in _FORMER_OPTIONS.items():
            for name in [name for name in names if name in plain]:
                loss = named(left.get("objective", "sampled_softmax"))
                objective = with_option(loss, name, left.pop(name))
                given = objective["name"]
                if name not in _FORMER_OPTIONS.get(given, (name,)):  # a custom loss may have it
                    raise ValueError(f"{name}: allowed only with objective: {of}")
                warn_renamed(
                    f"retrieval.{name}", f"an option, objective: {{name: {given}, {name}: ...}}"
                )
                left["objective"] = objective
        return left

    @field_validator("objective", mode="before")
    @classmethod
    def _objective_has_a_name(cls, objective: Any) -> Any:
        return named(objective)

    @field_validator("history", mode="before")
    @classmethod
    def _column_alone(cls, given: Any) -> Any:
        if given is None or isinstance(given, dict | History):
            return given or {}
        if not isinstance(given, str):
            raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors only
                "expected a sequence column, or a mapping such as {events: [click]}, got"
                f" {given!r}"
            )
        return {"column": given}

    @field_validator("k")
    @classmethod
    def _ascending(cls, k: tuple[int, ...]) -> tuple[int, ...]:
        if min(k) < 1 or list(k) != sorted(set(k)):
            raise ValueError(f"expected lengths of at least 1 in ascending order, got {list(k)}")
        return k

    @property
    def objective_name(self) -> str:
        """Name of the loss."""
        return name_of(self.objective)

    @property
    def objective_options(self) -> dict[str, Any]:
        """Options of the loss."""
        return options_of(self.objective)

    @property
    def seen_rule(self) -> SeenRule:
        """How relevant items in the history count."""
        if not self.exclude_seen:
            return "shown"
        return "missed" if self.seen_relevant == "miss" else "ignored"

    @model_validator(mode="after")
    def _seen_relevant_possible(self) -> Self:
        if "seen_relevant" not in self.model_fields_set:
            return self
        if not self.exclude_seen:
            raise ValueError(
                "seen_relevant: has no effect with exclude_seen: false, as nothing is excluded;"
                " remove it"
            )
        if self.user is None:
            raise ValueError(
                "seen_relevant: user is missing; set user: COLUMN, whose history counts"
            )
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        given = self.model_fields_set
        for name in ("time", "history"):
            if name in given and self.user is None:
                raise ValueError(f"{name}: user is missing; set user: COLUMN, whose rows it uses")
        return self
