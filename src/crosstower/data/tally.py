"""Counts made while rows are scored, and the notes about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from crosstower.data.batch import Batch
from crosstower.data.counters.matches import CountMatch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.fingerprints import Recognised
from crosstower.data.sources.joins import JoinMatch
from crosstower.data.unseen import Unseen


@dataclass
class Tally:
    """Rows scored and left out, values never seen, rows that trained the model, keys of joins.

    `skipped` counts bad cells by column; a row may count for several.
    """

    rows: int = 0
    left_out: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    unseen: Unseen = field(default_factory=Unseen)
    recognised: Recognised | None = None
    joins: tuple[JoinMatch, ...] = ()
    counts: tuple[CountMatch, ...] = ()

    def add(self, rows: int, batch: Batch, encoder: Encoder) -> None:
        """Count a chunk of `rows` rows; `batch` holds the valid ones."""
        self.rows += rows
        self.left_out += rows - len(batch)
        self.unseen.add(batch, encoder)
        if self.recognised is not None:
            self.recognised.add(batch)

    def warnings(self) -> list[str]:
        """Return a sentence per thing to know; none if all is as in training."""
        known = [] if self.recognised is None else self.recognised.warnings()
        low = [match.sentence for match in (*self.joins, *self.counts) if match.low]
        return [*self._left_out(), *low, *self.unseen.warnings(), *known]

    def sentences(self) -> list[str]:
        """Return the warnings, and the numbers of rows that found their keys and events."""
        well = [match.sentence for match in (*self.joins, *self.counts) if not match.low]
        return well + self.warnings()

    @property
    def cells(self) -> str:
        """The bad cells that were skipped, by column."""
        return ", ".join(f"{n:,} bad cells in '{column}'" for column, n in self.skipped.items())

    def _left_out(self) -> list[str]:
        if not self.left_out:
            return []
        skipped = f"{self.left_out:,} of {self.rows:,} rows are not scored"
        return [f"{skipped}, skipped by data.on_bad_rows: {self.cells}"]
