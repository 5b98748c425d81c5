"""The plan of a retraining: labels, rows, training, gate and schedule, as one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from crosstower.errors import QueryError, RecipeError
from crosstower.recipe.arguments import path_of
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_mapping
from crosstower.retrieval.index.registry import options_of
from crosstower.serving.retraining.limits import GateLimits
from crosstower.serving.state.impressions import IMPRESSION
from crosstower.values.durations import Duration
from crosstower.values.instants import DAY


class Label(FrozenModel):
    """The events that give a label column its values.

    >>> Label(event="watch", value=True).value
    True
    """

    event: str = Field(min_length=1, description="Type of the events.")
    value: bool = Field(
        default=False,
        description="The label is the value of the impression's last event, instead of 1.",
    )
    window: Duration | None = Field(
        default=None,
        description="Longest time from the impression to the event (default: labels.window).",
    )
    missing: float | None = Field(
        default=None,
        description="Label of an impression without such an event (default: 0, or no label if"
        " value is true).",
    )

    @property
    def otherwise(self) -> float | None:
        """Label of an impression without such an event; None for a missing label."""
        return self.missing if self.value or self.missing is not None else 0.0


class Labels(FrozenModel):
    """How events become labelled rows: one row per impression.

    >>> Labels(tasks={"click": "click"}).tasks["click"].event
    'click'
    """

    impression: str = Field(
        default=IMPRESSION, min_length=1, description="Type of the events that are impressions."
    )
    window: Duration = Field(
        default=float(DAY),
        description="Attribution window: longest time from an impression to its events.",
    )
    tasks: dict[str, Label] = Field(
        default={},
        description="Label columns: {COLUMN: EVENT}, or {COLUMN: {event, value, window, missing}}"
        " (default: each task has the events of its own name).",
    )
    positives: tuple[str, ...] = Field(
        default=(),
        description="Types of the events that are positives for retrieval (default: rows that"
        " fulfil retrieval.where, or else the events of retrieval.history).",
    )
    user: str | None = Field(
        default=None, description="Column of the user's id (default: retrieval.user)."
    )
    item: str | None = Field(
        default=None, description="Column of the item's id (default: retrieval.item)."
    )
    rank: str | None = Field(
        default=None, description="Column to fill with the rank of the impression (default: none)."
    )
    propensity: str | None = Field(
        default=None, description="Column to fill with the propensity of the impression."
    )
    request: str | None = Field(
        default=None,
        description="Column to fill with the request of the impression, such as training.group"
        " (a column request_id is always filled).",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _type_alone(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {k: {"event": v} if isinstance(v, str) else v for k, v in given.items()}


class RowsPlan(FrozenModel):
    """The rows of a training run: new ones from events, and a part of the older ones."""

    base: str | None = Field(
        default=None,
        description="Rows that the first models were trained on: file, folder or glob (default:"
        " data.path of the recipes).",
    )
    replay: float = Field(
        default=0.2, ge=0, le=1, description="Share of the older rows to train on again."
    )
    replay_window: Duration | None = Field(
        default=None, description="Replay only rows of this time before the new ones, such as 7d."
    )
    valid: float = Field(
        default=0.1, gt=0, lt=0.5, description="Share of the new rows for validation."
    )
    test: float = Field(
        default=0.1, gt=0, lt=0.5, description="Share of the newest rows, for the gate."
    )
    min_new: int = Field(
        default=5_000,
        ge=1,
        description="Minimum number of new rows; with fewer, the retraining is skipped.",
    )


class Runs(FrozenModel):
    """Folders of the runs that the first bundle was built from."""

    retrieval: str | None = Field(default=None, description="Run that retrieves.")
    ranking: str | None = Field(default=None, description="Run that ranks.")


class StageTraining(FrozenModel):
    """Keys of the recipes' `training` sections that differ in a retraining."""

    retrieval: dict[str, Any] = Field(default={}, description="Of the retrieval recipe.")
    ranking: dict[str, Any] = Field(default={}, description="Of the ranking recipe.")


class RetrainPlan(FrozenModel):
    """Settings of `crosstower retrain`; every key has a default.

    >>> RetrainPlan(labels={"window": "2h"}).labels.window
    7200.0
    """

    runs: Runs = Field(default=Runs(), description="Runs of the first bundle.")
    labels: Labels = Field(default=Labels(), description="From events to labelled rows.")
    rows: RowsPlan = Field(default=RowsPlan(), description="Rows to train on.")
    training: StageTraining = Field(
        default=StageTraining(), description="Training options by stage, such as {epochs: 2}."
    )
    gate: GateLimits = Field(default=GateLimits(), description="Limits of the gate.")
    candidates: int | None = Field(
        default=None, ge=1, description="Items that the ranker scores (default: as before)."
    )
    index: str = Field(default="auto", description="Engine of the index.")
    index_options: dict[str, Any] = Field(default={}, description="Options of that engine.")
    keep: int = Field(default=5, ge=2, description="Number of versions to keep.")

    @model_validator(mode="after")
    def _windows(self) -> Self:
        if self.rows.valid + self.rows.test >= 0.9:
            raise ValueError(
                "rows: valid and test leave too few rows to train on; make their sum smaller than"
                f" 0.9, got {self.rows.valid + self.rows.test:g}"
            )
        return self

    @model_validator(mode="after")
    def _index(self) -> Self:
        if self.index != "auto":
            try:
                options_of(self.index, self.index_options)
            except QueryError as error:
                raise ValueError(str(error)) from None
        return self


def load_plan(path: str | Path | None) -> RetrainPlan:
    """Read a plan, whose paths are relative to its folder; the defaults without a file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "retrain.yaml"
    >>> _ = path.write_text("labels: {window: 12h, tasks: {click: click}}")
    >>> load_plan(path).labels.window
    43200.0

    Raises:
        RecipeError: the file is missing, is not YAML, or keys are wrong; names each of them.

    """
    if path is None:
        return RetrainPlan()
    path = path_of("plan", path, error=RecipeError, expected="the path of a YAML file")
    plain = read_mapping(
        path, named="the plan is", empty="expected keys such as runs, labels, rows and gate"
    )
    plan = validate(RetrainPlan, plain)
    return plan.model_copy(
        update={
            "runs": Runs(**{n: _anchored(v, path) for n, v in plan.runs.model_dump().items()}),
            "rows": plan.rows.model_copy(update={"base": _anchored(plan.rows.base, path)}),
        }
    )


def _anchored(given: str | None, plan: Path) -> str | None:
    if given is None or given.startswith("world:"):
        return given
    return str(plan.absolute().parent / given)
