"""Learn an encoder from the training rows, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.labels import LabelFit
from crosstower.data.layout import Layout
from crosstower.errors import DataError
from crosstower.recipe.kinds.coded import coded_columns
from crosstower.recipe.kinds.kind import Learner
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Regression


@dataclass
class EncoderFit:
    """Learns an `Encoder` in one pass over cleaned training chunks."""

    schema: Schema
    rows: int = 0
    _learners: dict[str, Learner] = field(default_factory=dict[str, Learner])
    _labels: dict[str, LabelFit] = field(default_factory=dict[str, LabelFit])

    def __post_init__(self) -> None:
        """Set up what each column and each regression learns."""
        columns = self.schema.columns
        coded = coded_columns(columns)
        tables = {name: c.own_table() for name, c in coded.items() if c.table is None}
        learners = {n: c.learner_of(tables[c.table or n]) for n, c in coded.items()}
        others = {n: c.learner() for n, c in columns.items() if n not in coded}
        learners |= {n: learner for n, learner in others.items() if learner is not None}
        self._learners = {name: learners[name] for name in columns if name in learners}
        for name, task in self.schema.tasks.items():
            if isinstance(task, Regression):
                self._labels[name] = LabelFit(name, task)

    def add(self, frame: pl.DataFrame) -> None:
        """Take in the training rows of one chunk."""
        self.rows += frame.height
        for name, learner in self._learners.items():
            learner.add(frame[name])
        for fit in self._labels.values():
            fit.add(frame)

    def finish(self) -> Encoder:
        """Return the fitted encoder.

        Raises:
            DataError: there was no training row.

        """
        if self.rows == 0:
            raise DataError("the training split holds no rows; change data.split")
        return self.draft()

    def draft(self) -> Encoder:
        """Return the encoder of the rows so far, of which there may be none."""
        states = {name: learner.finish() for name, learner in self._learners.items()}
        labels = {name: fit.scale for name, fit in self._labels.items()}
        others = {n: f.others.mean for n, f in self._labels.items() if f.task.when is not None}
        return Encoder(self.schema, states, labels, others)


def draft_layout(schema: Schema) -> Layout:
    """Return the layout of a schema whose rows have not been read, to check models against.

    Learnt vocabularies are empty, lists have one value, and no number is missing.
    """
    return EncoderFit(schema).draft().layout
