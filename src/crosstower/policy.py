"""What a run's order would have earned: its policy's value, from rows that another policy logged.

Each row of the log is one decision: an action was taken with a known chance (its propensity) and
earned a reward. The run scores every action for every row, in place of the logged one; its policy
takes the best, or draws by softmax. Shapes: B rows of the log, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.actions import actions_of, item_columns_of
from crosstower.data.clean import Cleaner
from crosstower.data.held_out import held_out_columns
from crosstower.data.lookup import places_in
from crosstower.data.parts import training_source
from crosstower.data.prepare import Progress, source_of
from crosstower.data.sources import Chunk, FrameSource, Source, require_columns
from crosstower.errors import DataError, RunError, did_you_mean
from crosstower.evaluate.off_policy import inverse_propensity, policy_probabilities
from crosstower.evaluate.policy_report import PolicyFacts, PolicyReport, policy_report
from crosstower.names import label_name, raw_name
from crosstower.results import read_predictions
from crosstower.run import Run
from crosstower.scores import BLEND_SCORE, PREDICTION, Scorer

MAX_PAIRS = 50_000_000
"""The most pairs of a row and an action that are scored."""

MAX_SLOTS = 100
"""The most places that have estimates of their own."""

_BLOCK_PAIRS = 200_000


def evaluate_policy(
    run: Run | str | Path,
    *,
    action: str,
    propensity: str,
    reward: str | None = None,
    data: Any = None,
    item_columns: Sequence[str] | None = None,
    slot: str | None = None,
    temperature: float = 0.0,
    clip: float | None = None,
    progress: Progress = lambda _stage, _rows: None,
) -> PolicyReport:
    """Return what a run's order would have earned where another policy decided.

    All actions of the log are scored for each row, by the blend if the run has one, else by its
    prediction of the reward. That prediction is also the reward model of the direct method and of
    doubly robust (formulas: `evaluate.off_policy`). A row's other columns stay as they are; one
    that depends on row and action together would keep the logged action's value.

    Args:
        run: of a ranker, or its folder; its main model with its first seed decides.
        action: column of what was chosen, such as an item's id.
        propensity: column of the chance with which the log's policy took the action, in (0, 1].
        reward: one of the run's tasks, whose label is earned; the first if None.
        data: the log, a path or a table; the run's test rows if None. No training rows.
        item_columns: columns that follow from the action; if None, those that the run reads and
            that have one value an action in the log.
        slot: column of the place that a row filled. It is never found to follow from the action,
            and each of its values has estimates of its own; nothing is assumed of other places.
        temperature: of the policy, in units of the scores: 0 takes the best action, more draws by
            softmax(scores / temperature).
        clip: weights above it are cut to it.
        progress: told how many rows are scored.

    Raises:
        RunError: the run retrieves, has no such task, reads nothing of the action, or its test
            rows cannot be had.
        DataError: a column is missing, a number is out of its range, there are too many pairs, or
            the policy takes none of the logged actions.

    """
    run = Run.of(run)
    task, scorer = _reward_task(run, reward), run.scorer()
    reads = list(dict.fromkeys([*run.recipe.schema_.sources(), *scorer.columns]))
    named = [action, propensity, *([slot] if slot else []), *(item_columns or ())]
    frame = _read(run, task, [*reads, *named], data)
    warnings = _warnings(run, task, frame, data)
    frame = frame.drop_nulls(label_name(task))
    known = _known(frame, task, propensity, slot)
    # The logging policy on its own log: bad numbers show before anything is scored.
    inverse_propensity(known["reward"], known["propensity"], known["propensity"], clip=clip)
    if item_columns is None:
        item_columns = item_columns_of(frame, action, [c for c in reads if c != slot])
    actions = actions_of(frame, action, item_columns)
    _check_reads(run, actions.columns, reads)
    scoring = _Scoring(run, scorer, task, temperature, progress)
    decisions = pl.concat([known, scoring.decisions(frame, actions, reads)], how="horizontal")
    facts = PolicyFacts(
        reward=task,
        score=scoring.score,
        temperature=temperature,
        clip=clip,
        action=action,
        item_columns=tuple(actions.columns[1:]),
        actions=actions.height,
    )
    report = policy_report(decisions, facts)
    return replace(report, warnings=(*warnings, *report.warnings))


def _reward_task(run: Run, reward: str | None) -> str:
    if run.recipe.retrieval is not None:
        raise RunError(
            f"{run.folder}: a run that retrieves has no task whose reward a policy earns; give the"
            " run of a ranker"
        )
    tasks = list(run.recipe.schema_.tasks)
    if reward is not None and reward not in tasks:
        raise RunError(
            f"{run.folder}: no task '{reward}' to take as the reward{did_you_mean(reward, tasks)};"
            f" the run has: {', '.join(tasks)}"
        )
    return reward or tasks[0]


def _read(run: Run, task: str, columns: Sequence[str], data: Any) -> pl.DataFrame:
    """Return raw columns and the label of the good rows."""
    recipe, names = run.recipe, list(dict.fromkeys(columns))
    schema = recipe.schema_.with_tasks([task])
    cleaner = Cleaner(schema, names, on_bad_rows=recipe.data.on_bad_rows)
    needed = cleaner.sources()
    source = _test_rows(run, needed) if data is None else source_of(recipe.data, data)
    require_columns(source, needed)
    raw = {raw_name(name): name for name in names}
    frames = [cleaner.clean(c).select(*raw, label_name(task)) for c in source.chunks(needed)]
    frame = pl.concat(frames, how="vertical_relaxed").rename(raw)
    if data is None:
        _check_same(run, task, frame[label_name(task)])
    return frame


def _test_rows(run: Run, columns: Sequence[str]) -> Source:
    if run.recipe.data.path is None:
        raise RunError(
            f"{run.folder}: was trained from a data frame, which a run does not keep; give the log"
            " with --data (in Python: data), rows that it was not trained on"
        )
    source = training_source(run.recipe.data)
    rows = held_out_columns(run.recipe, source, columns)["test"]
    return FrameSource(rows, f"test rows of {source.name}")


def _check_same(run: Run, task: str, labels: pl.Series) -> None:
    """Raise RunError if the test rows are not those of the training: some may have trained it."""
    stored = read_predictions(run, next(iter(run.info.models)), run.info.seeds[0])
    if not stored[task].equals(labels):
        raise RunError(
            f"{run.folder}: its rows ({run.recipe.data.path}) have changed since the training; put"
            " them back, train again, or give the log with --data"
        )


def _warnings(run: Run, task: str, frame: pl.DataFrame, data: Any) -> list[str]:
    """Return what is to be said of the rows themselves."""
    warnings, missing = list[str](), frame[label_name(task)].null_count()
    if missing:
        warnings.append(f"{missing:,} of {frame.height:,} rows have no {task} and are left out.")
    path, given = run.recipe.data.path, isinstance(data, str | Path)
    own = given and path is not None and Path(data).resolve() == Path(path).resolve()
    if own or (data is not None and frame.height == sum(run.info.facts.rows.values())):
        warnings.append(
            "the log seems to be what the run was trained on: its predictions know these rewards,"
            " so the direct method, doubly robust and the order itself look too good; give rows"
            " that it has not seen, or none for its test rows."
        )
    return warnings


def _known(frame: pl.DataFrame, task: str, propensity: str, slot: str | None) -> pl.DataFrame:
    """Return reward, propensity and slot, checked."""
    chances = frame[propensity].cast(pl.Float64, strict=False)
    good = ((chances > 0.0) & (chances <= 1.0)).fill_null(value=False)
    if not good.all():
        raise DataError(
            f"column '{propensity}': expected the chance of the logged action, above 0 and at most"
            f" 1, got {frame[propensity].filter(~good)[0]!r} and {(~good).sum() - 1:,} more of"
            f" {frame.height:,} rows; give the column of propensities, or leave those rows out"
        )
    known = [frame[label_name(task)].alias("reward"), chances.alias("propensity")]
    if slot is None:
        return pl.DataFrame(known)
    if frame[slot].n_unique() > MAX_SLOTS:
        raise DataError(
            f"slot column '{slot}': expected at most {MAX_SLOTS} places of a list, got"
            f" {frame[slot].n_unique():,} values; give the column of the position"
        )
    return pl.DataFrame([*known, frame[slot].alias("slot")])


def _check_reads(run: Run, columns: Sequence[str], reads: Sequence[str]) -> None:
    if not set(columns) & set(reads):
        raise RunError(
            f"{run.folder}: reads neither '{columns[0]}' nor a column that follows from it, so all"
            f" actions would score alike{did_you_mean(columns[0], list(reads))}; it reads:"
            f" {', '.join(reads)}"
        )


@dataclass(frozen=True)
class _Scoring:
    """Scores of every action for every row, in blocks."""

    run: Run
    scorer: Scorer
    task: str
    temperature: float
    progress: Progress

    @property
    def score(self) -> str:
        """The column that orders the actions."""
        return f"{self.task}{PREDICTION}" if self.scorer.blend is None else BLEND_SCORE

    def decisions(
        self, frame: pl.DataFrame, actions: pl.DataFrame, reads: Sequence[str]
    ) -> pl.DataFrame:
        """Return for each row what `policy_report` needs of the policies and the reward model."""
        if frame.height * actions.height > MAX_PAIRS:
            raise DataError(
                f"{frame.height:,} rows x {actions.height:,} actions: expected at most"
                f" {MAX_PAIRS:,} pairs to score; give fewer rows with --data (in Python: data)"
            )
        logged = places_in(actions.to_series(), frame[actions.columns[0]])
        size, parts = max(1, _BLOCK_PAIRS // actions.height), list[pl.DataFrame]()
        for start in range(0, frame.height, size):
            block = frame[start : start + size].select(reads)
            parts.append(self._block(block, actions, logged[start : start + size]))
            self.progress("scoring", start + block.height)
        return pl.concat(parts)

    def _block(
        self, rows: pl.DataFrame, actions: pl.DataFrame, logged: NDArray[np.int64]
    ) -> pl.DataFrame:
        shape = (rows.height, actions.height)
        row, action = np.divmod(np.arange(rows.height * actions.height), actions.height)
        pairs = rows.select(pl.all().gather(row))
        pairs = pairs.with_columns(*actions.select(pl.all().gather(action)).get_columns())
        scored = self._scored(pairs)
        predicted = scored[f"{self.task}{PREDICTION}"].to_numpy().reshape(shape)
        order = scored[self.score].to_numpy().reshape(shape)
        chances = policy_probabilities(order, self.temperature)  # [B, A]
        taken = (np.arange(rows.height), logged)
        return pl.DataFrame(
            {
                "predicted": predicted[taken],
                "model:target": chances[taken],
                "model:expected": (chances * predicted).sum(axis=1),
                "uniform:target": np.full(rows.height, 1.0 / actions.height),
                "uniform:expected": predicted.mean(axis=1),
            }
        )

    def _scored(self, pairs: pl.DataFrame) -> pl.DataFrame:
        scorer, schema = self.scorer, self.run.recipe.schema_
        cleaner = Cleaner(schema, scorer.columns, with_labels=False, amounts=scorer.amounts)
        chunk = Chunk(pairs, "rows with other actions", 0, 0)
        return scorer.score(cleaner.clean(chunk))
