"""What a run's order would have earned: its policy's value, from rows that another policy logged.

Each row of the log is one decision: an action was taken with a known chance (its propensity) and
earned a reward. The run scores every action for every row, in place of the logged one; its policy
takes the best, or draws by softmax. Shapes: B rows of the log, A actions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.data.cleaning.cleaner import Cleaner
from crosstower.data.held_out import held_out_columns
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.reading import source_of, training_source
from crosstower.data.sources.source import FrameSource, Source, require_columns
from crosstower.data.tally import Tally
from crosstower.errors import DataError, RunError, did_you_mean
from crosstower.experiments.off_policy.actions import actions_of, item_columns_of, target_chances
from crosstower.experiments.off_policy.estimators import inverse_propensity
from crosstower.experiments.off_policy.refits import refit_scorers
from crosstower.experiments.off_policy.report import PolicyFacts, PolicyReport, policy_report
from crosstower.experiments.off_policy.scoring import Scoring, check_pairs
from crosstower.ranking.ranker import Ranker
from crosstower.recipe.own_columns import label_name, raw_name
from crosstower.training.history import read_predictions
from crosstower.training.run import Run

MAX_SLOTS = 100
"""The most places that have estimates of their own."""


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
        clip: weights above it are cut to it, but in Switch-DR and DR with shrinkage, which choose.
        target: column of a given policy's chances, evaluated as well as the run's: a list with the
            chance of each action, or the logged action's alone, which no reward model can use.
        target_actions: column of lists with the actions that the chances are of; all actions of
            the log in ascending order if None.
        refits: how often the run is trained again on rows drawn from its own, for the interval of
            the direct method; 20 or more are of use, with 0 it has none.
        on_progress: called with the number of rows scored.

    Raises:
        RunError: the run retrieves, has no such task, reads nothing of the action, or its test
            rows cannot be had.
        DataError: a column is missing, a number is out of its range, there are too many pairs, or
            the policy takes none of the logged actions.

    """
    run = Run.of(run)
    task, ranker = _reward_task(run, reward), Ranker.open(run)
    scorer, tally = ranker.scorer().of_rows(), ranker.tally()
    reads = list(dict.fromkeys([*run.recipe.schema_.sources(), *scorer.columns]))
    _check_counts(refits, target, target_actions)
    more = (slot, target, target_actions)
    named = [action, propensity, *(name for name in more if name), *(item_columns or ())]
    frame = _read(run, task, [*reads, *named], data, tally)
    warnings = _warnings(run, task, frame, data, tally)
    frame = frame.drop_nulls(label_name(task))
    known = _known(frame, task, propensity, slot)
    # The logging policy on its own log: bad numbers show before anything is scored.
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
        raise RunError(f"refits: expected 0, or 2 or more trainings to compare, got {refits}")
    if target_actions is not None and target is None:
        raise RunError(
            f"target_actions: '{target_actions}' names actions, but no target their chances; give"
            " --target (in Python: target)"
        )


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


def _read(run: Run, task: str, columns: Sequence[str], data: Any, tally: Tally) -> pl.DataFrame:
    """Return raw columns and the label of the good rows; `tally` compares given rows."""
    recipe, names = run.recipe, list(dict.fromkeys(columns))
    schema = recipe.schema_.with_tasks([task])
    cleaner = Cleaner(schema, names, on_bad_rows=recipe.data.on_bad_rows)
    needed = cleaner.sources()
    source = _test_rows(run, needed) if data is None else source_of(recipe.data, data)
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


def _warnings(run: Run, task: str, frame: pl.DataFrame, data: Any, tally: Tally) -> list[str]:
    """Return sentences about rows without a reward, and about rows that trained the run."""
    warnings, missing = list[str](), frame[label_name(task)].null_count()
    if missing:
        warnings.append(f"{missing:,} of {frame.height:,} rows have no {task} and are left out.")
    trained = [] if tally.recognised is None else tally.recognised.warnings()
    if _is_training_log(run, data, tally) and not trained:
        trained = ["the log seems to be the one that trained the run"]
    return warnings + [
        f"{sentence}, so the direct method, doubly robust and the order look too good; give rows"
        " that it has not seen, or none for its test rows."
        for sentence in trained
    ]


def _is_training_log(run: Run, data: Any, tally: Tally) -> bool:
    """Return whether a log is the run's own, where too many inputs repeat to recognise its rows.

    It has the run's file, or as many rows and at least as many known ones as its own log would.
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
