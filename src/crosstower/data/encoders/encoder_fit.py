"""Learn an encoder from the training rows, in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.labels import LabelFit
from crosstower.data.encoders.learned import Learned
from crosstower.data.layout import Layout
from crosstower.errors import DataError, RecipeError, RunError
from crosstower.recipe.kinds.coded import TableLearner, coded_columns
from crosstower.recipe.kinds.learner import Learner, Merging, Recalling, RowLearner
from crosstower.recipe.own_columns import ROW
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Regression, Task
from crosstower.values.codes import UNSEEN, Vocabulary
from crosstower.values.vocabulary_fit import VocabularyFit

_MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of a memory that was edited, or is of another version of an own kind."""


@dataclass
class EncoderFit:
    """Learns an `Encoder` in one pass over cleaned training chunks.

    Args:
        schema: of the rows.
        start: encoder and learned state of an earlier training run with the same schema. The model
            inputs then stay, except for the values in vocabularies.
        frozen: columns that keep their state of `start`, with all that share a table with them.

    """

    schema: Schema
    start: tuple[Encoder, Learned] | None = None
    frozen: frozenset[str] = frozenset()
    rows: int = 0
    _kept: frozenset[str] = frozenset()
    _tables: dict[str, TableLearner] = field(default_factory=dict[str, TableLearner])
    _learners: dict[str, Learner] = field(default_factory=dict[str, Learner])
    _labels: dict[str, LabelFit] = field(default_factory=dict[str, LabelFit])

    def __post_init__(self) -> None:
        """Set up the learner of each column, and of labels with a scale or a share."""
        columns = self.schema.columns
        coded = coded_columns(columns)
        tables = {coded[name].table or name for name in self.frozen if name in coded}
        shared = {name for name, c in coded.items() if (c.table or name) in tables}
        self._kept = self.frozen | shared
        self._tables = {name: c.own_table() for name, c in coded.items() if c.table is None}
        learners = {n: c.learner_of(self._tables[c.table or n]) for n, c in coded.items()}
        others = {n: c.learner() for n, c in columns.items() if n not in coded}
        learners |= {n: learner for n, learner in others.items() if learner is not None}
        self._learners = {name: learners[name] for name in columns if name in learners}
        for name, task in self.schema.tasks.items():
            if isinstance(task, Regression) or _balanced(task):
                self._labels[name] = LabelFit(name, task)
        if self.start is not None:
            self._go_on(*self.start)

    def _go_on(self, encoder: Encoder, learned: Learned) -> None:
        for name, table in self._tables.items():
            if isinstance(table, VocabularyFit):
                if name not in learned.seen:
                    raise RunError(_unreadable(name, "its table is missing"))
                table.earlier, table.training = learned.seen[name], learned.trainings + 1
        for name, learner in self._learners.items():
            if isinstance(learner, Recalling):
                try:
                    learner.recall(learned.memories.get(name), encoder.states[name])
                except _MISFITS as error:
                    cause = f"{type(error).__name__}: {error}"
                    raise RunError(_unreadable(name, cause)) from error

    def add(self, frame: pl.DataFrame) -> None:
        """Add the training rows of one chunk."""
        rows = self._numbers_of(frame)
        self.rows += frame.height
        for name, learner in self._learners.items():
            if isinstance(learner, RowLearner):
                learner.add_rows(frame[name], rows)
            else:
                learner.add(frame[name])
        for fit in self._labels.values():
            fit.add(frame)

    def _numbers_of(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        if ROW in frame.columns:
            return frame[ROW].to_numpy()
        return np.arange(self.rows, self.rows + frame.height, dtype=np.int64)

    def merge(self, other: EncoderFit) -> None:
        """Merge the state learned from other rows; the order of merging does not matter.

        Args:
            other: of the same schema, without a start.

        """
        self.rows += other.rows
        for name, table in self._tables.items():
            table.merge(other._tables[name])  # type: ignore[arg-type] - of the same column
        for name, learner in self._learners.items():
            if isinstance(learner, Merging) and not isinstance(learner, TableLearner):
                learner.merge(other._learners[name])
        for name, fit in self._labels.items():
            fit.merge(other._labels[name])

    def pack(self) -> None:
        """Drop parts that can be rebuilt, before a copy is sent to another process."""
        for table in self._tables.values():
            if isinstance(table, VocabularyFit):
                table.pack()

    def unmerged(self) -> list[str]:
        """Return the columns whose learners cannot be merged: those of own kinds without it."""
        return [n for n, x in self._learners.items() if not isinstance(x, Merging)]

    def finish(self) -> Encoder:
        """Return the fitted encoder.

        Raises:
            DataError: there was no training row.

        """
        if self.rows == 0:
            raise DataError("the training split holds no rows; change data.split")
        return self.draft()

    def draft(self) -> Encoder:
        """Return the encoder of the rows so far, which may be none."""
        states = _states_of(self._learners)
        if self.start is not None:
            return self._moved(states, self.start[0])
        labels = {name: fit.scale for name, fit in self._labels.items()}
        others = {n: f.others.mean for n, f in self._labels.items() if _conditional(f.task)}
        return Encoder(self.schema, states, labels, others)

    def _moved(self, states: dict[str, Any], before: Encoder) -> Encoder:
        """Return an encoder with new states of the columns that continue; the others stay."""
        moving = Recalling | VocabularyFit
        moved = {
            name: state
            for name, state in states.items()
            if isinstance(self._learners[name], moving) and name not in self._kept
        }
        labels = {name: fit.scale for name, fit in self._labels.items()} | before.label_scales
        return Encoder(self.schema, before.states | moved, labels, before.otherwise)

    def left_out(self) -> dict[str, int]:
        """Return by frozen table how many values would be new in it."""
        if self.start is None:
            return {}
        found, before = dict[str, int](), self.start[0].tables
        for name, fit in self._tables.items():
            known = before[name]
            if name not in self._kept:
                continue
            if isinstance(fit, VocabularyFit) and isinstance(known, Vocabulary):
                found[name] = int((known.encode(fit.finish().values) == UNSEEN).sum())
        return found

    def learned(self) -> Learned:
        """Return the state from which the next training run continues."""
        tables = {n: t for n, t in self._tables.items() if isinstance(t, VocabularyFit)}
        memories = {n: x.memory() for n, x in self._learners.items() if isinstance(x, Recalling)}
        return Learned(
            trainings=1 if self.start is None else self.start[1].trainings + 1,
            memories={name: memory for name, memory in memories.items() if memory is not None},
            seen={name: table.seen() for name, table in tables.items()},
        )


def _states_of(learners: Mapping[str, Learner]) -> dict[str, Any]:
    """Return the learned state of each column."""
    states, column = dict[str, Any](), ""
    try:
        for column, learner in learners.items():
            states[column] = learner.finish()
    except RecipeError as error:  # of numbers whose squares exceed the range of floats
        raise DataError(
            f"column '{column}': its training values cannot be fitted: {error}; divide large"
            " numbers, or set transform: quantile"
        ) from error
    return states


def _unreadable(column: str, cause: str) -> str:
    return (
        f"column '{column}': cannot continue from the learned.json of the earlier run: {cause};"
        " train that run again, or train without a warm start"
    )


def draft_layout(schema: Schema) -> Layout:
    """Return the layout of a schema whose rows have not been read, to check models against.

    Learnt vocabularies are empty, lists have one value, and no number is missing.
    """
    return EncoderFit(schema).draft().layout


def _balanced(task: Task) -> TypeGuard[Binary]:
    return isinstance(task, Binary) and task.class_weight == "balanced"


def _conditional(task: Task) -> bool:
    return isinstance(task, Regression) and task.when is not None
