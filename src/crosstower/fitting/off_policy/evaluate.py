"""Off-policy evaluation: estimate the value of a run's policy from another policy's log.

Each row of the log is one decision: an action, the probability with which the logging policy took
it (the propensity), and a reward. The run scores all actions for each row; its policy takes the
best action or samples by softmax. Shapes: B rows of the log, A actions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.data.cleaner import Cleaner
from crosstower.data.counters.counted_source import counted_source_of, counted_training_source
from crosstower.data.held_out import held_out_columns
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.sources.source import FrameSource, Source, require_columns
from crosstower.data.tally import Tally
from crosstower.errors import DataError, QueryError, RunError, did_you_mean
from crosstower.fitting.off_policy.actions import actions_of, item_columns_of, target_chances
from crosstower.fitting.off_policy.comparison import policy_report
from crosstower.fitting.off_policy.estimators import inverse_propensity
from crosstower.fitting.off_policy.refits import refit_scorers
from crosstower.fitting.off_policy.report import PolicyFacts, PolicyReport
from crosstower.fitting.off_policy.scoring import Scoring, check_pairs
from crosstower.ranking.ranker import Ranker
from crosstower.recipe.own_columns import label_name, raw_name
from crosstower.training.history import read_predictions
from crosstower.training.run import Run

MAX_SLOTS = 100
"""Largest number of slots with separate estimates."""


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
    target: str | None = None,
    target_actions: str | None = None,
    refits: int = 0,
    on_progress: OnProgress = no_progress,
) -> PolicyReport:
    """Estimate the value of a run's policy from logged decisions.

    All actions of the log are scored for each row, by the blend if the run has one, else by the
    prediction of the reward. That prediction is also the reward model of the direct method and of
    doubly robust (formulas: `fitting.off_policy.estimators`). Other columns keep their values,
    so a column that depends on both row and action keeps the value of the logged action.

    >>> import crosstower as ct
    >>> report = ct.evaluate_policy(
    ...     "runs/clicks", action="film", propensity="propensity", data="july.parquet"
    ... )
    >>> list(report.policies)
    ['logged', 'model', 'uniform']

    Args:
        run: of a ranker, or its folder; its main model with its first seed is used.
        action: column of the logged action, such as an item id.
        propensity: column of the logging policy's probability of that action, in (0, 1].
        reward: task whose label is the reward; None for the first task.
        data: the log, a path or a table, without training rows; None for the run's test rows.
        item_columns: columns that the action determines; None for the columns that the run reads
            and that have one value per action in the log.
        slot: column of the position in a list. It never counts as determined by the action. Each
            slot has separate estimates; effects between slots are not modelled.
        temperature: of the policy, in units of the scores: 0 takes the best action, above 0
            samples by softmax(scores / temperature).
        clip: largest importance weight, except for Switch-DR and DR with shrinkage, which choose
            their own; None for no limit.
        target: column with the probabilities of a given policy, which is evaluated too: a list
            with the probability of each action, or the probability of the logged action only,
            which rules out estimates that need a reward model.
        target_actions: column of lists with the actions that the probabilities refer to; None for
            all actions of the log in ascending order.
        refits: number of bootstrap training runs for the interval of the direct method; at least 20
            are recommended, and 0 gives no interval.
        on_progress: called with the number of rows scored.

    Raises:
        RunError: the run is a retriever, has no such task, reads no column of the action, or its
            test rows are not available.
        DataError: a column is missing, a number is out of its range, there are too many pairs, or
            the policy takes none of the logged actions.
        QueryError: a number of `temperature`, `clip` or `refits` is out of its range, or there are
            `target_actions` without a `target`.

    """
    run = Run.of(run)
    task, ranker = _reward_task(run, reward), Ranker.open(run)
    scorer, tally = ranker.scorer().of_rows(), ranker.tally()
    reads = list(dict.fromkeys([*run.recipe.served_schema.sources(), *scorer.columns]))
    _check_counts(refits, target, target_actions)
    more = (slot, target, target_actions)
    named = [action, propensity, *(name for name in more if name), *(item_columns or ())]
    frame = _read(run, task, [*reads, *named], data, tally)
    warnings = _warnings(run, task, frame, data, tally)
    frame = frame.drop_nulls(label_name(task))
    known = _known(frame, task, propensity, slot)
    # Evaluates the logging policy on its own log, to report bad numbers before scoring.
    inverse_propensity(known["reward"], known["propensity"], known["propensity"], clip=clip)
    if item_columns is None:
        item_columns = item_columns_of(frame, action, [c for c in reads if c != slot])
    actions = actions_of(frame, action, item_columns)
    _check_reads(run, actions.columns, reads)
    check_pairs(frame.height, actions.height)
    given = None
    if target is not None:
        given = target_chances(frame, actions.to_series(), target, target_actions)
    models = refit_scorers(run, refits, on_progress=on_progress)
    scoring = Scoring(scorer, task, temperature, given, models, on_progress)
    scores = scoring.scores(frame, actions, reads)
    decisions = pl.concat([known, scores.decisions], how="horizontal")
    facts = PolicyFacts(
        reward=task,
        score=scoring.score,
        temperature=temperature,
        clip=clip,
        action=action,
        item_columns=tuple(actions.columns[1:]),
        actions=actions.height,
        target=target,
        refits=refits,
    )
    report = policy_report(decisions, facts, scores.refits)
    return replace(report, warnings=(*warnings, *report.warnings))


def _check_counts(refits: int, target: str | None, target_actions: str | None) -> None:
    if refits < 0 or refits == 1:
        raise QueryError(
            f"refits: expected 0, or at least 2 training runs to compare, got {refits}"
        )
    if target_actions is not None and target is None:
        raise QueryError(
            f"target_actions: '{target_actions}' names actions without probabilities; give --target"
            " as well (in Python: target)"
        )


def _reward_task(run: Run, reward: str | None) -> str:
    if run.recipe.retrieval is not None:
        raise RunError(
            f"{run.folder}: retrieval runs have no task to use as the reward; pass a ranking run"
        )
    counting = [name for name, c in run.recipe.schema_.columns.items() if c.counts()]
    if counting:
        raise RunError(
            f"{run.folder}: column '{counting[0]}' counts events, but the counts of other actions"
            " than the logged one are not known; give a run without counters"
        )
    tasks = list(run.recipe.schema_.tasks)
    if reward is not None and reward not in tasks:
        raise RunError(
            f"{run.folder}: no task '{reward}' to use as the reward{did_you_mean(reward, tasks)};"
            f" the run has: {', '.join(tasks)}"
        )
    return reward or tasks[0]


def _read(run: Run, task: str, columns: Sequence[str], data: Any, tally: Tally) -> pl.DataFrame:
    """Return the raw columns and the label of valid rows; `tally` counts rows of a given log."""
    recipe, names = run.recipe, list(dict.fromkeys(columns))
    schema = recipe.schema_.with_tasks([task])
    cleaner = Cleaner(schema, names, on_bad_rows=recipe.data.on_bad_rows)
    needed = cleaner.sources()
    source = _test_rows(run, needed) if data is None else counted_source_of(recipe, data)
    require_columns(source, needed)
    raw = {raw_name(name): name for name in names}
    frames = list[pl.DataFrame]()
    for chunk in source.chunks(needed):
        good = cleaner.clean(chunk)
        if data is not None:
            tally.add(chunk.frame.height, run.encoder.encode(good), run.encoder)
        frames.append(good.select(*raw, label_name(task)))
    frame = pl.concat(frames, how="vertical_relaxed").rename(raw)
    if data is None:
        _check_same(run, task, frame[label_name(task)])
    return frame


def _test_rows(run: Run, columns: Sequence[str]) -> Source:
    if not run.recipe.data.is_named:
        raise RunError(
            f"{run.folder}: was trained from a data frame, which a run does not keep; give a log of"
            " other rows with --data (in Python: data)"
        )
    source = counted_training_source(run.recipe)
    rows = held_out_columns(run.recipe, source, columns)["test"]
    return FrameSource(rows, f"test rows of {source.name}")


def _check_same(run: Run, task: str, labels: pl.Series) -> None:
    """Raise RunError if the test rows differ from those of the training run."""
    stored = read_predictions(run, next(iter(run.info.models)), run.info.seeds[0])
    if not stored[task].equals(labels):
        raise RunError(
            f"{run.folder}: its rows ({run.recipe.data.path}) have changed since the training;"
            " restore them, train again, or give the log with --data"
        )


def _warnings(run: Run, task: str, frame: pl.DataFrame, data: Any, tally: Tally) -> list[str]:
    """Return warnings about rows without a reward, and about training rows in the log."""
    warnings, missing = list[str](), frame[label_name(task)].null_count()
    if missing:
        warnings.append(f"{missing:,} of {frame.height:,} rows have no {task} and are omitted.")
    trained = [] if tally.recognised is None else tally.recognised.warnings()
    if _is_training_log(run, data, tally) and not trained:
        trained = ["the log seems to be the training data of the run"]
    return warnings + [
        f"{sentence}, so the estimates are too optimistic; give a log of other rows, or omit it to"
        " use the test rows."
        for sentence in trained
    ]


def _is_training_log(run: Run, data: Any, tally: Tally) -> bool:
    """Return whether a log is the run's own, where repeated inputs hide which rows are known.

    It is if it is the run's file, or has as many rows and as many known inputs as that file.
    """
    path = run.recipe.data.path
    if isinstance(data, str | Path) and path is not None:
        return Path(data).resolve() == Path(path).resolve()
    found, rows = tally.recognised, run.info.facts.rows
    if found is None or not found.compared or tally.rows != sum(rows.values()):
        return False
    trained = rows["train"] / tally.rows
    expected = trained + (1.0 - trained) * found.sketch.repeated
    noise = 3.0 * math.sqrt(expected * (1.0 - expected) / found.compared)
    return found.known / found.compared >= expected - noise


def _known(frame: pl.DataFrame, task: str, propensity: str, slot: str | None) -> pl.DataFrame:
    """Return reward, propensity and slot, checked."""
    chances = frame[propensity].cast(pl.Float64, strict=False)
    good = ((chances > 0.0) & (chances <= 1.0)).fill_null(value=False)
    if not good.all():
        raise DataError(
            f"column '{propensity}': expected the probability of the logged action, in (0, 1], got"
            f" {frame[propensity].filter(~good)[0]!r}; rows without one: {(~good).sum():,} of"
            f" {frame.height:,}; give the column of propensities, or omit those rows"
        )
    known = [frame[label_name(task)].alias("reward"), chances.alias("propensity")]
    if slot is None:
        return pl.DataFrame(known)
    if frame[slot].n_unique() > MAX_SLOTS:
        raise DataError(
            f"slot column '{slot}': expected at most {MAX_SLOTS} positions, got"
            f" {frame[slot].n_unique():,} values; give the column of the position"
        )
    return pl.DataFrame([*known, frame[slot].alias("slot")])


def _check_reads(run: Run, columns: Sequence[str], reads: Sequence[str]) -> None:
    if not set(columns) & set(reads):
        raise RunError(
            f"{run.folder}: reads neither '{columns[0]}' nor a column that it determines, so all"
            f" actions would have equal scores{did_you_mean(columns[0], list(reads))}; it reads:"
            f" {', '.join(reads)}"
        )
