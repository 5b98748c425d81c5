"""Scores of all actions for each row of a log, and the policies that follow from them.

Shapes: B rows of the log, A actions, M models trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.progress import OnProgress
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError
from crosstower.fitting.off_policy.estimators import policy_probabilities
from crosstower.ranking.scorer import Scorer
from crosstower.recipe.own_columns import BLEND_SCORE, PREDICTION
from crosstower.values.arrays import Floats
from crosstower.values.lookup import places_in

MAX_PAIRS = 50_000_000
"""The most pairs of a row and an action that are scored."""

_BLOCK_PAIRS = 200_000


@dataclass(frozen=True)
class PolicyScores:
    """Decisions as `policy_report` takes them, and `[M, B]` expectations of refits by policy."""

    decisions: pl.DataFrame
    refits: dict[str, Floats]


@dataclass(frozen=True)
class Scoring:
    """Scores of every action for every row, in blocks.

    `target` are a given policy's chances: `[B]` of the logged action, `[B, A]` of every action.
    `refits` are models trained again, which estimate rewards and decide nothing.
    """

    scorer: Scorer
    task: str
    temperature: float
    target: Floats | None
    refits: Sequence[Scorer]
    on_progress: OnProgress

    @property
    def score(self) -> str:
        """The column that orders the actions."""
        return f"{self.task}{PREDICTION}" if self.scorer.blend is None else BLEND_SCORE

    def scores(
        self, frame: pl.DataFrame, actions: pl.DataFrame, reads: Sequence[str]
    ) -> PolicyScores:
        """Return the values of the policies and the reward model for the report, row by row."""
        logged = places_in(actions.to_series(), frame[actions.columns[0]])
        size = max(1, _BLOCK_PAIRS // actions.height)
        parts, refits = list[pl.DataFrame](), list[dict[str, Floats]]()
        for start in range(0, frame.height, size):
            part = slice(start, start + size)
            target = None if self.target is None else self.target[part]
            pairs = self._pairs(frame[part].select(reads), actions)
            block, models = self._block(pairs, logged[part], target, actions.height)
            parts.append(block)
            refits.append(models)
            self.on_progress("scoring", start + block.height)
        joined = {name: np.hstack([r[name] for r in refits]) for name in refits[0]}
        return PolicyScores(pl.concat(parts), joined)

    def _pairs(self, rows: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
        """Return cleaned rows with each action in turn."""
        row, action = np.divmod(np.arange(rows.height * actions.height), actions.height)
        pairs = rows.select(pl.all().gather(row))
        pairs = pairs.with_columns(*actions.select(pl.all().gather(action)).get_columns())
        return self.scorer.cleaner().clean(Chunk(pairs, "rows with other actions", 0, 0))

    def _block(
        self, pairs: pl.DataFrame, logged: NDArray[np.int64], target: Floats | None, actions: int
    ) -> tuple[pl.DataFrame, dict[str, Floats]]:
        shape, scored = (len(logged), actions), self.scorer.score(pairs)
        predicted = scored[f"{self.task}{PREDICTION}"].to_numpy().reshape(shape)
        order = scored[self.score].to_numpy().reshape(shape)
        chances = {
            "model": policy_probabilities(order, self.temperature),
            "uniform": np.full(shape, 1.0 / actions),
        }
        if target is not None and target.ndim == 2:
            chances["target"] = target
        taken = (np.arange(len(logged)), logged)
        columns = {"predicted": predicted[taken]}
        for name, chance in chances.items():
            columns[f"{name}:target"] = chance[taken]
            columns[f"{name}:expected"] = (chance * predicted).sum(axis=1)
        if target is not None and target.ndim == 1:
            columns["target:target"] = target
        again = [
            refit.score(pairs)[f"{self.task}{PREDICTION}"].to_numpy().reshape(shape)
            for refit in self.refits
        ]
        refits = {
            name: np.stack([(chance * model).sum(axis=1) for model in again])
            for name, chance in chances.items()
            if again
        }
        return pl.DataFrame(columns), refits


def check_pairs(rows: int, actions: int) -> None:
    """Reject more pairs of a row and an action than are scored.

    Raises:
        DataError: there are more than `MAX_PAIRS`.

    """
    if rows * actions > MAX_PAIRS:
        raise DataError(
            f"{rows:,} rows x {actions:,} actions: expected at most {MAX_PAIRS:,} pairs to score;"
            " give fewer rows with --data (in Python: data)"
        )
