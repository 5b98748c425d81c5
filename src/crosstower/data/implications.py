"""Labels of events that need one another: counted, compared and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import polars as pl

from crosstower.errors import DataError
from crosstower.recipe.tasks import Binary, Task

MOST_WITHOUT = 0.05
"""Share of a task's positive rows that may lack the event that it needs."""


@dataclass
class Implications:
    """Counts, chunk by chunk, of the tasks that `after` links with one another.

    `without` counts the rows with a task's event whose label of the other task is 0, `happened`
    those of them whose label of the other task is known; both by (task, other task).
    """

    tasks: Mapping[str, Task] = field(default_factory=dict[str, Task])
    rows: Counter[str] = field(default_factory=Counter[str])
    positives: Counter[str] = field(default_factory=Counter[str])
    happened: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    without: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def add(self, tasks: Mapping[str, Task], labels: pl.DataFrame) -> None:
        """Count the rows of a chunk; `labels` has a column per task."""
        self.tasks, names = tasks, linked(tasks)
        for name in names:
            mine = labels[name]
            self.rows[name] += len(mine) - mine.null_count()
            event = labels.filter(pl.col(name) == 1)
            self.positives[name] += event.height
            for other in names:
                if other != name:
                    self.happened[name, other] += event.height - event[other].null_count()
                    self.without[name, other] += int((event[other] == 0).sum())

    def merge(self, other: Implications) -> None:
        """Add the counts of other rows."""
        self.tasks = self.tasks or other.tasks
        self.rows.update(other.rows)
        self.positives.update(other.positives)
        self.happened.update(other.happened)
        self.without.update(other.without)

    def check(self) -> None:
        """Reject labels that contradict `after`.

        Raises:
            DataError: more than `MOST_WITHOUT` of the rows with a task's event lack the event that
                it comes after.

        """
        for name, event in _links(self.tasks):
            if not self._fits(event, name):
                without, happened = self.without[name, event], self.happened[name, event]
                raise DataError(
                    f"task '{name}' comes after '{event}' (after in the schema, or model.chain),"
                    f" but {without:,} of {happened:,} rows with {name} have no {event}"
                    f" ({without / happened:.1%}; at most {MOST_WITHOUT:.0%} may): {event} is 1 in"
                    f" {self._rate(event):.2%} of its labels and {name} in {self._rate(name):.2%};"
                    f" {self._advice(linked(self.tasks))}"
                )

    def notes(self) -> list[str]:
        """Return sentences about the rows that contradict `after`, where they are few."""
        return [
            f"{name}: {count:,} of {self.happened[name, event]:,} rows with it have no {event},"
            f" which it needs; a chain cannot predict them"
            for name, event in _links(self.tasks)
            if (count := self.without[name, event])
        ]

    def _fits(self, event: str, name: str) -> bool:
        return self.without[name, event] <= MOST_WITHOUT * self.happened[name, event]

    def _rate(self, name: str) -> float:
        return self.positives[name] / max(self.rows[name], 1)

    def _advice(self, names: Sequence[str]) -> str:
        order = sorted(names, key=self.positives.__getitem__, reverse=True)
        if all(self._fits(a, b) for a, b in pairwise(order)):
            return f"the labels fit another order; set model.chain: [{', '.join(order)}]"
        return (
            "name the tasks that need one another in model.chain, repair the labels, or use a model"
            " without a chain, such as mmoe"
        )


def linked(tasks: Mapping[str, Task]) -> list[str]:
    """Return the tasks that come after another one, or that another one comes after."""
    names = {name for link in _links(tasks) for name in link}
    return [name for name in tasks if name in names]


def _links(tasks: Mapping[str, Task]) -> list[tuple[str, str]]:
    return [(n, t.after) for n, t in tasks.items() if isinstance(t, Binary) and t.after is not None]
