"""How many values of each column a fitted vocabulary does not know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.layout import MISSING, PADDING, UNSEEN
from crosstower.values.codes import Vocabulary

_REPORTED = 0.5


@dataclass
class Unseen:
    """Counts by schema column: all values, missing ones aside, and those never seen in training."""

    values: Counter[str] = field(default_factory=Counter[str])
    unseen: Counter[str] = field(default_factory=Counter[str])

    def add(self, batch: Batch, encoder: Encoder) -> None:
        """Count the codes of encoded rows; columns without a vocabulary have no unseen values."""
        layout = encoder.layout
        coded = [(f.name, f.table, batch.codes[:, i]) for i, f in enumerate(layout.codes)]
        coded += [(f.name, f.table, batch.values(f.name)) for f in layout.lists]
        for name, table, codes in coded:
            if isinstance(encoder.tables.get(table), Vocabulary):
                self.unseen[name] += int((codes == UNSEEN).sum())
                self.values[name] += int(((codes != PADDING) & (codes != MISSING)).sum())

    def merge(self, other: Unseen) -> None:
        """Add the counts of other rows."""
        self.values.update(other.values)
        self.unseen.update(other.unseen)

    def sentences(self, what: str = "values") -> list[str]:
        """Return a sentence per column with unseen values."""
        return [
            f"{name}: {count / self.values[name]:.1%} of the {what} never seen in training"
            for name, count in self.unseen.items()
            if count
        ]

    def warnings(self) -> list[str]:
        """Return a sentence per column whose values are mostly unseen."""
        return [
            f"column '{name}': {_share(count, self.values[name])} seen in training; check that the"
            " values are written as in the training rows"
            for name, count in self.unseen.items()
            if count and count >= _REPORTED * self.values[name]
        ]


def _share(count: int, values: int) -> str:
    if count == values:
        return f"none of the {values:,} values was ever"
    return f"{count:,} of {values:,} values ({count / values:.1%}) were never"
