"""The schema: columns and tasks, from which all inputs, losses and metrics follow. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from crosstower.errors import did_you_mean
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList, TimedList
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.bag import Bag
from crosstower.recipe.kinds.calendar import Calendar
from crosstower.recipe.kinds.categorical import Categorical
from crosstower.recipe.kinds.cell_times import CellTimes
from crosstower.recipe.kinds.counter import Counter
from crosstower.recipe.kinds.cross import Cross
from crosstower.recipe.kinds.distance import Distance
from crosstower.recipe.kinds.elapsed import Elapsed
from crosstower.recipe.kinds.formula import Formula
from crosstower.recipe.kinds.kind import Kind
from crosstower.recipe.kinds.numeric import Numeric
from crosstower.recipe.kinds.registry import Columns
from crosstower.recipe.kinds.sequence import Sequence
from crosstower.recipe.kinds.text import Text
from crosstower.recipe.kinds.vector import Vector
from crosstower.recipe.own_columns import MARK
from crosstower.recipe.tasks import Binary, HeadKind, Task

__all__ = [
    "Bag",
    "Calendar",
    "Categorical",
    "Counter",
    "Cross",
    "Distance",
    "Elapsed",
    "Formula",
    "Kind",
    "Numeric",
    "Schema",
    "Sequence",
    "Text",
    "Vector",
]


class Schema(FrozenModel):
    """The columns that a model reads and the tasks that it learns, by name.

    A bare kind uses its defaults:

    >>> schema = Schema(columns={"user_id": "categorical"}, tasks={"click": "binary"})
    >>> schema.columns["user_id"].min_count
    1
    """

    columns: Columns = Field(description="Columns by name.")
    tasks: dict[str, Task] = Field(default={}, description="Tasks by name.")

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, plain: Any) -> Any:
        if not isinstance(plain, dict):
            return plain
        return {key: _with_kinds(section) for key, section in plain.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_names()
        for name, column in self.columns.items():
            column.check(name, self.columns)
        needs = {name: task.needs for name, task in self.tasks.items()}
        for name in self.tasks:
            self._check_condition(name, needs)
        self._check_leaks()
        return self

    def _check_names(self) -> None:
        for name in (*self.columns, *self.tasks):
            if name.startswith(MARK):
                raise ValueError(
                    f"{name!r}: a name must not start with the character {MARK!r}; rename it, and"
                    " set source (column for a task) to the data column"
                )

    def _check_condition(self, name: str, needed: Mapping[str, str | None]) -> None:
        needs, met = needed[name], [name]
        allowed = [n for n, t in self.tasks.items() if isinstance(t, Binary) and n != name]
        if needs is not None and needs not in allowed:
            raise ValueError(
                f"task '{name}' is conditional on '{needs}', which is not another binary task"
                f"{did_you_mean(needs, allowed)}; allowed: {', '.join(allowed) or 'none'}"
            )
        while needs is not None and needs in self.tasks:
            met.append(needs)
            if needs == name:
                raise ValueError(f"tasks form a cycle: {' after '.join(met)}; remove one after")
            needs = None if met.count(needs) > 1 else needed[needs]

    def _check_leaks(self) -> None:
        labels = {task.column or name: name for name, task in self.tasks.items()}
        for name, task in self.tasks.items():
            if isinstance(task, Binary) and task.true_probability is not None:
                labels[task.true_probability] = name
        for name, column in self.columns.items():
            for source in column.sources(name):
                if source in labels:
                    raise ValueError(
                        f"column '{name}' reads '{source}', which is the label of task"
                        f" '{labels[source]}'; remove the column, as a label must not be an input"
                    )

    def plain(self) -> dict[str, Any]:
        """Return plain data without defaults, for `Schema.model_validate`."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        for name, column in self.columns.items():
            plain["columns"][name]["kind"] = column.kind
        for name, task in self.tasks.items():
            plain["tasks"][name]["kind"] = task.kind
        return plain

    def kinds(self) -> dict[str, HeadKind]:
        """Return the kind of each task."""
        return {name: task.kind for name, task in self.tasks.items()}

    def truths(self) -> dict[str, str]:
        """Return the true-probability column of each task that has one."""
        given = {n: t.true_probability for n, t in self.tasks.items() if isinstance(t, Binary)}
        return {name: column for name, column in given.items() if column is not None}

    def sample_weights(self) -> dict[str, str]:
        """Return the column of sample weights of each task that has one."""
        given = {name: task.sample_weight for name, task in self.tasks.items()}
        return {name: column for name, column in given.items() if column is not None}

    def sources(self) -> list[str]:
        """Return the data columns that the model reads, without repeats, in order."""
        names = (s for n, c in self.columns.items() for s in c.sources(n))
        return list(dict.fromkeys(names))

    def counts(self) -> tuple[EventCount, ...]:
        """Return the counts of earlier events that the model reads, without repeats, in order."""
        return tuple(one for one in self.event_inputs() if isinstance(one, EventCount))

    def event_lists(self) -> tuple[EventList, ...]:
        """Return the histories that earlier events fill, in the order of their columns."""
        return tuple(one for one in self.event_inputs() if isinstance(one, EventList))

    def timed_lists(self) -> tuple[TimedList, ...]:
        """Return the histories whose times the data has as lists, without repeats, in order."""
        found = (column.timed_list(name) for name, column in self.columns.items())
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def row_times(self) -> dict[str, CellTimes]:
        """Return the data columns that are read only as times, such as that of the row."""
        found = {name: column.row_times(name) for name, column in self.columns.items()}
        others = self.part([name for name in self.columns if not found[name]]).sources()
        times = [one for column in found.values() for one in column.items()]
        return {time: how for time, how in reversed(times) if time not in others}

    def event_inputs(self) -> tuple[EventCount | EventList, ...]:
        """Return the inputs from earlier events: `counts`, then `event_lists`."""
        columns = self.columns
        found = [(c.counts(), c.event_list(name, columns)) for name, c in columns.items()]
        counts = dict.fromkeys(count for some, _ in found for count in some)
        return (*counts, *(one for _, one in found if one is not None))

    def part(self, names: list[str]) -> Schema:
        """Return a schema with some of the columns and no tasks."""
        kept = {n: c for n, c in self.columns.items() if n in names}
        return self.model_copy(update={"columns": kept, "tasks": {}})

    def without(self, names: Collection[str]) -> Schema:
        """Return a schema without some of the columns, and with all tasks."""
        kept = {n: c for n, c in self.columns.items() if n not in names}
        return self.model_copy(update={"columns": kept})

    def with_tasks(self, names: list[str]) -> Schema:
        """Return a schema with some of the tasks and those that their labels depend on."""
        kept, waiting = set[str](), list(names)
        while waiting:
            name = waiting.pop()
            needs = self.tasks[name].needs
            waiting += [needs] if needs is not None and needs not in kept else []
            kept.add(name)
        return self.model_copy(update={"tasks": {n: t for n, t in self.tasks.items() if n in kept}})

    def label_sources(self) -> list[str]:
        """Return the data columns of labels and true probabilities, without repeats."""
        names = [task.column or name for name, task in self.tasks.items()]
        return list(dict.fromkeys(names + list(self.truths().values())))


def _with_kinds(section: Any) -> Any:
    """Return columns or tasks by name, with each bare kind as a mapping."""
    if not isinstance(section, dict):
        return section
    return {name: {"kind": one} if isinstance(one, str) else one for name, one in section.items()}
