"""Off-policy evaluation of a bundle from the lists that a server has logged.

Each logged list is ranked again: the bundle scores the candidates that took part in the draw. Its
policy orders them by score, or draws them by Plackett-Luce. The weight of a shown item is the
probability of this policy to show it at the same rank, over the logged propensity. So the value is
the mean reward per place, valid if the reward of an item depends on the item and its rank only
(Li et al. 2018). Ranks are those of the draw, before rules. The places of a list depend on one
another; standard errors allow for this.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.exploration.pool import Pool
from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import CrosstowerError, DataError, RunError, did_you_mean
from crosstower.fitting.off_policy.comparison import policy_report
from crosstower.fitting.off_policy.report import PolicyFacts, PolicyReport
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest
from crosstower.recipe.own_columns import BLEND_SCORE, PREDICTION
from crosstower.recipe.rules import RequestRules
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.state.address import StateAddress
from crosstower.serving.state.event_log import microseconds
from crosstower.serving.state.impressions import LoggedList, logged_lists, rewards_of
from crosstower.serving.state.state import State
from crosstower.values.arrays import Floats

_SHOWN = 100  # lists between two reports of progress


def evaluate_logged(
    bundle: Bundle | str | Path,
    state: str | StateAddress,
    *,
    reward: str | None = None,
    event: str | None = None,
    temperature: float = 0.0,
    clip: float | None = None,
    after: datetime | None = None,
    until: datetime | None = None,
    on_progress: OnProgress = no_progress,
) -> PolicyReport:
    """Estimate the reward that a bundle's order would have earned on logged lists.

    Args:
        bundle: with a retrieval and a ranking run; it need not be the one that was served.
        state: address of the state of the server that logged the lists.
        reward: task of the ranker; the first if None.
        event: type of the events that hold the reward; the name of the task if None.
        temperature: of a Plackett-Luce policy, in units of the score; 0 takes the best order.
        clip: largest importance weight; None for no limit.
        after: leave out lists before this time, which has a zone.
        until: leave out lists at or after this time, which has a zone.
        on_progress: called with the number of lists.

    Raises:
        BundleError: the bundle is damaged.
        ServeError: there is no state, or it is damaged.
        RunError: the bundle has no such task, has one stage only, or counts events.
        DataError: no list was logged with exploration.

    """
    live = Live.open(bundle if isinstance(bundle, Bundle) else Bundle.open(bundle))
    task = _task(live, reward)
    with State.open_existing(state) as opened:
        catalogue, newest = _ranking_funnel(live).catalogue, opened.last_sequence()
        ItemChanges(opened).apply(catalogue, 0, newest, weights=live.weights or "")
        times = [None if time is None else microseconds(time) for time in (after, until)]
        lists = logged_lists(opened.database, after=times[0], until=times[1])
        rewards = rewards_of(opened.database, event or task)
    return report_of_lists(
        live, lists, rewards, task, temperature=temperature, clip=clip, on_progress=on_progress
    )


def report_of_lists(
    live: Live,
    lists: Sequence[LoggedList],
    rewards: Mapping[tuple[str, Any], float],
    task: str,
    *,
    temperature: float = 0.0,
    clip: float | None = None,
    on_progress: OnProgress = no_progress,
) -> PolicyReport:
    """Return the report of logged lists for an open bundle; see `evaluate_logged`.

    Args:
        live: the bundle, with the items of the state.
        lists: of the log.
        rewards: by request id and item id; 0 where there is none.
        task: whose prediction is the reward model.
        temperature: of a Plackett-Luce policy; 0 takes the best order.
        clip: largest importance weight; None for no limit.
        on_progress: called with the number of lists.

    Raises:
        RunError: the bundle has one stage only, or counts events.
        DataError: no list was logged with exploration.

    """
    replayed = _Replay(_ranking_funnel(live), task, temperature, rewards)
    for number, logged in enumerate(_usable(lists, replayed.left_out), start=1):
        replayed.add(logged)
        if number % _SHOWN == 0:
            on_progress("ranking logged lists", number)
    decisions = replayed.decisions()
    facts = PolicyFacts(
        reward=task,
        score=f"{task}{PREDICTION}" if live.blends.own is None else BLEND_SCORE,
        temperature=temperature,
        clip=clip,
        action="item_id",
        item_columns=(),
        actions=len(replayed.seen),
        lists=replayed.lists,
    )
    report = policy_report(decisions, facts)
    return replace(report, warnings=(*replayed.warnings(len(lists)), *report.warnings))


def _ranking_funnel(live: Live) -> OnlineFunnel:
    if live.funnel is None or live.funnel.ranker is None:
        raise RunError(
            f"{live.bundle.folder}: can only {live.bundle.manifest.stages[0]}; logged lists need a"
            " bundle with a retrieval and a ranking run"
        )
    if live.funnel.ranker.counters.names:
        raise RunError(
            f"{live.bundle.folder}: column '{next(iter(live.funnel.ranker.counters.names))}' counts"
            " events, but the counts at the times of the lists are not kept; give a bundle whose"
            " ranker has no counters"
        )
    return live.funnel


def _task(live: Live, reward: str | None) -> str:
    ranking = live.bundle.manifest.ranking
    tasks = list(ranking.tasks) if ranking is not None else []
    if reward is not None and reward not in tasks:
        raise RunError(
            f"{live.bundle.folder}: no task '{reward}' to use as reward"
            f"{did_you_mean(reward, tasks)}; tasks: {', '.join(tasks)}"
        )
    return reward or tasks[0]


def _usable(lists: Sequence[LoggedList], left_out: Counter[str]) -> Iterator[LoggedList]:
    """Yield the lists that were drawn and have a request id of their own."""
    times = Counter(logged.request_id for logged in lists)
    for logged in lists:
        if not logged.candidates:
            left_out["were not drawn"] += 1
        elif times[logged.request_id] > 1:
            left_out["share their request id with another list"] += 1
        else:
            yield logged


@dataclass
class _Replay:
    """Logged lists, ranked again by a funnel, as rows of decisions."""

    funnel: OnlineFunnel
    task: str
    temperature: float
    rewards: Mapping[tuple[str, Any], float]
    lists: int = 0
    seen: set[Any] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    columns: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, logged: LoggedList) -> None:
        """Add the shown items of a list that the draw placed."""
        without_rules = RequestRules(replace=True)
        request = FunnelRequest(user=logged.user, query=logged.query, rules=without_rules)
        try:
            ranked = self.funnel.rank(request, logged.candidates)
        except CrosstowerError:
            self.left_out["cannot be ranked by this bundle"] += 1
            return
        if len(ranked.places) < len(logged.candidates):
            self.left_out["have candidates that are no longer items"] += 1
            return
        order = np.argsort(-ranked.score, kind="stable")  # without the blend's diversity
        ids = self.funnel.catalogue.items.ids(ranked.places[order])
        place = {item_id: number for number, item_id in enumerate(ids)}
        predicted = ranked.predictions[self.task][order]
        shown = [s for s in logged.shown if s.drawn_rank <= len(ids) and s.item_id in place]
        if not shown:
            return
        chances = self._chances(ranked.score[order], max(s.drawn_rank for s in shown))
        expected = predicted @ chances  # [k]
        for s in shown:
            at, rank = place[s.item_id], s.drawn_rank - 1
            row = {
                "list": self.lists,
                "slot": s.drawn_rank,
                "reward": self.rewards.get((logged.request_id, s.item_id), 0.0),
                "propensity": s.propensity,
                "predicted": predicted[at],
                "model:target": chances[at, rank],
                "model:expected": expected[rank],
                "uniform:target": 1.0 / len(ids),
                "uniform:expected": predicted.mean(),
            }
            for name, value in row.items():
                self.columns[name].append(value)
        self.lists += 1
        self.seen.update(ids)

    def decisions(self) -> pl.DataFrame:
        """Return the rows as `policy_report` takes them.

        Raises:
            DataError: there are none.

        """
        if not self.columns:
            raise DataError(
                "no list of the log can be used; serve with exploration and log: true, and send"
                " the request_id of each list with its feedback"
            )
        return pl.DataFrame(self.columns)

    def warnings(self, total: int) -> list[str]:
        """Return sentences about lists that were left out."""
        found = [
            f"{count:,} of {total:,} logged lists {words}; they are left out."
            for words, count in self.left_out.items()
        ]
        if not any(self.columns["reward"]):
            found.append("no shown item has a reward: does the feedback have request_id?")
        return found

    def _chances(self, score: Floats, k: int) -> Floats:
        """Return `[n, k]`, the policy's probability of each candidate at each of k ranks."""
        count = len(score)
        if self.temperature == 0.0:
            return np.eye(count, k)
        policy, pool = PlackettLuce(temperature=self.temperature), Pool(score, np.zeros(count, int))
        return np.clip(policy.chances(pool, np.arange(count), k), 0.0, 1.0)
