"""The recipe: one experiment as one YAML file. No torch.

All keys are validated together; an error names the key, the value and the allowed values.
"""

from __future__ import annotations

from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from crosstower.errors import did_you_mean
from crosstower.recipe.bias import Bias, check_bias
from crosstower.recipe.blend import Blend
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.chains import binary_tasks, chain_of, with_chain
from crosstower.recipe.counter_checks import check_counters, time_columns
from crosstower.recipe.data import Data
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.history_times import check_times
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.rules import Rules
from crosstower.recipe.schema import Bag, Schema, Sequence
from crosstower.recipe.sources import Sources
from crosstower.recipe.split import order_of
from crosstower.recipe.training import Training
from crosstower.recipe.tune import Tune

CHAINED = "esmm"
"""Model whose tasks form a chain; by default all binary tasks in the order of the schema."""
ALL_LOSS = "all.loss"
"""Value of `training.monitor` for the combined loss of all tasks."""


class Importance(FrozenModel):
    """Permutation importance of the columns, on a sample of the validation rows.

    >>> Importance(rows=500).repeats
    5
    """

    rows: int = Field(default=2000, ge=1, description="Validation rows that are shuffled.")
    repeats: int = Field(default=5, ge=1, description="Shuffles per column, for error bars.")


class Evaluation(FrozenModel):
    """Groups, slices and baselines of the report.

    >>> Evaluation(group="user_id", slices=["city"]).slices
    ('city',)
    """

    group: str | None = Field(
        default=None,
        description="Group column of gAUC, NDCG and MRR, such as a user id (default:"
        " training.group).",
    )
    slices: tuple[str, ...] = Field(
        default=(), description="Columns whose values the metrics are broken down by."
    )
    baselines: tuple[str, ...] = Field(
        default=("logistic_regression", "mlp"),
        description="Models that are trained for comparison, with their default options.",
    )
    importance: Importance | None = Field(
        default=Importance(),
        description="Permutation importance of the columns in the report; false omits it and the"
        " background rows of explanations.",
    )

    @field_validator("importance", mode="before")
    @classmethod
    def _on_or_off(cls, given: Any) -> Any:
        if isinstance(given, bool):
            return Importance() if given else None
        return given


class Recipe(FrozenModel):
    """One experiment. `model` has the name and the options of the architecture.

    With a `retrieval` section, it trains a retriever on positives (default: the two-tower model).
    Without one, it trains a ranker on the tasks of the schema (default: DCN-V2).

    >>> recipe = Recipe(
    ...     schema=Schema(columns={"user_id": "categorical"}, tasks={"click": "binary"}),
    ...     model={"name": "wide_deep", "hidden": [64]},
    ...     training=Training(epochs=3),
    ... )
    >>> recipe.model["name"]
    'wide_deep'
    """

    name: str = Field(
        default="run", pattern=r"^[A-Za-z0-9][\w.-]*$", description="Name of the run folder."
    )
    data: Data = Field(default=Data(), description="Rows and their split.")
    schema_: Schema = Field(alias="schema", description="Columns and tasks.")
    model: dict[str, Any] = Field(
        default={}, validate_default=True, description="`name` of the model and its options."
    )
    training: Training = Field(default=Training(), description="Options of training.")
    calibration: Calibration = Field(
        default=Calibration(), description="Calibration of the predictions."
    )
    blend: Blend | None = Field(default=None, description="Blend of the tasks into one score.")
    rules: Rules | None = Field(default=None, description="Rules of the lists that are served.")
    bias: Bias | None = Field(
        default=None,
        description="Columns of how a row was shown, such as [position, device], read by a tower"
        " that serving leaves out; or its options.",
    )
    evaluation: Evaluation = Field(default=Evaluation(), description="Options of the report.")
    retrieval: Retrieval | None = Field(
        default=None, description="Makes the recipe train a retriever."
    )
    tune: Tune | None = Field(default=None, description="Options to search by `crosstower tune`.")
    sources: Sources | None = Field(
        default=None,
        description="Sources of the candidates of a funnel, with quotas (default: only the"
        " retrieval model).",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, plain: Any) -> Any:
        if not isinstance(plain, dict):
            return plain
        model = plain.get("model", {})
        if isinstance(model, dict):
            default = "dcn_v2" if plain.get("retrieval") is None else "two_tower"
            model = {"name": default, **model}
        return {**plain, "model": {"name": model} if isinstance(model, str) else model}

    @field_validator("model")
    @classmethod
    def _name_is_text(cls, model: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(model["name"], str):
            message = f"name: expected text, as in model: {{name: dcn_v2}}, got {model['name']!r}"
            raise ValueError(message)  # noqa: TRY004 - pydantic reports ValueErrors only
        return model

    @model_validator(mode="after")
    def _sources_of_a_retriever(self) -> Self:
        if self.sources is not None and self.retrieval is None:
            raise ValueError(
                "sources: not allowed without a retrieval section; move them into the recipe of the"
                " retriever"
            )
        return self

    @model_validator(mode="after")
    def _ranks_or_retrieves(self) -> Self:
        if self.retrieval is None:
            if not self.schema_.tasks:
                raise ValueError(
                    "schema.tasks: empty; add a task such as click: binary to train a ranker, or a"
                    " retrieval section to train a retriever"
                )
            return self
        if self.schema_.tasks:
            raise ValueError(
                "schema.tasks: not allowed in a retrieval recipe, which learns from positives;"
                ' remove the tasks and select the positives, as in retrieval.where: "click == 1"'
            )
        if self.evaluation != Evaluation():
            raise ValueError(
                "evaluation: not allowed in a retrieval recipe; use retrieval.k and"
                " retrieval.baselines"
            )
        if self.calibration != Calibration() or self.blend is not None:
            raise ValueError(
                "calibration, blend: not allowed in a retrieval recipe, which has no tasks; remove"
                " them"
            )
        if self.data.engine != "local":
            raise ValueError(
                f"data.engine: {self.data.engine} is not allowed in a retrieval recipe, whose"
                " positives stay in memory; drop data.engine and data.runner"
            )
        return self

    @model_validator(mode="after")
    def _history_is_a_list(self) -> Self:
        if self.retrieval is None or self.retrieval.history.column is None:
            return self
        history = self.retrieval.history
        column = self.schema_.columns.get(str(history.column))
        if not isinstance(column, Sequence | Bag):
            raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors only
                f"retrieval.history: '{history.column}' is not a sequence or bag column of the"
                " schema; add one: a sequence is filled with the user's earlier items, a bag with"
                " the user's other items"
            )
        if "folds" in history.model_fields_set and not isinstance(column, Bag):
            raise ValueError(
                f"retrieval.history.folds: '{history.column}' is a sequence, which has no folds;"
                " drop folds, or declare the column as {kind: bag}"
            )
        return self

    @model_validator(mode="after")
    def _group_is_of_rankers(self) -> Self:
        """Evaluate by the group of the training unless another one is set."""
        group = self.training.group
        if group is None:
            return self
        if self.retrieval is not None:
            raise ValueError(
                f"training.group: '{group}' is for rankers, and a retrieval recipe learns from"
                " single positives; remove the key"
            )
        if self.evaluation.group is None:
            found = self.evaluation.model_copy(update={"group": group})
            object.__setattr__(self, "evaluation", found)
        return self

    @model_validator(mode="after")
    def _chain_of_tasks(self) -> Self:
        """Declare the chain of the model in the schema, which reads the labels."""
        given = self.model.get("chain")
        names = (self.model["name"], *self.evaluation.baselines)
        if self.retrieval is None and (given is not None or CHAINED in names):
            found = given if isinstance(given, list | tuple) else ()
            chain = found or chain_of(self.schema_.tasks) or binary_tasks(self.schema_.tasks)
            found = with_chain(self.schema_, [str(name) for name in chain])
            object.__setattr__(self, "schema_", found)
        return self

    @model_validator(mode="after")
    def _times_are_used(self) -> Self:
        if not self.data.times:
            return self
        used = [order_of(self.data.split), self.retrieval.time if self.retrieval else None]
        used += time_columns(self.schema_, self.data)
        allowed = list(dict.fromkeys(name for name in used if name is not None))
        for name in self.data.times:
            if name not in allowed:
                raise ValueError(
                    f"data.times.{name}: not the time column of data.split, data.events,"
                    f" retrieval or a history"
                    f"{did_you_mean(name, allowed)}; allowed: {', '.join(allowed) or 'none'}"
                )
        return self

    @model_validator(mode="after")
    def _bias_is_read_alone(self) -> Self:
        if self.bias is not None:
            check_bias(self.bias, self.schema_, retrieves=self.retrieval is not None)
        return self

    @model_validator(mode="after")
    def _monitor_names_a_task(self) -> Self:
        monitor, tasks = self.training.monitor, list(self.schema_.tasks)
        if self.retrieval is not None:
            tasks = ["retrieval"]
        elif monitor == ALL_LOSS:
            return self
        if monitor is not None and monitor.rpartition(".")[0] not in tasks:
            raise ValueError(
                f"training.monitor: expected TASK.METRIC with a task of {', '.join(tasks)},"
                f" got '{monitor}'"
            )
        return self

    @model_validator(mode="after")
    def _counters_fit(self) -> Self:
        check_counters(self.schema_, self.data, retrieves=self.retrieval is not None)
        check_times(self.schema_, self.data, self.retrieval)
        return self

    @property
    def served_schema(self) -> Schema:
        """The schema without the columns of the bias tower, which serving leaves out."""
        return self.schema_ if self.bias is None else self.schema_.without(self.bias.columns)

    @property
    def amounts(self) -> tuple[str, ...]:
        """Amount columns of the blend, which every row needs."""
        amount = self.blend.amount if self.blend is not None else None
        return () if amount is None else (amount,)

    def to_yaml(self) -> str:
        """Return the recipe as YAML from which `parse_recipe` restores it."""
        kept = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        plain: dict[str, Any] = {
            "name": self.name,
            **kept,
        }  # a file without a name is named after itself
        plain["schema"] = self.schema_.plain()
        if "split" in plain.get("data", {}):
            plain["data"]["split"]["kind"] = self.data.split.kind
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
