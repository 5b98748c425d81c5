"""Gain of the best possible policy of the closed loop, by the terms it knows.

The policy shows the best list by the true equations of `worlds.DriftingFeed`, but with some of
their terms left out. The share of the possible gain that is left is what a learner can reach that
does not learn these terms. Popularity is the zero, as in `python -m benchmarks loop`.
"""

import argparse

import numpy as np
from scipy.special import expit

from benchmarks.loop import parser, played
from benchmarks.loop_learner import CLICK_BASE, CLICK_TASTE, FADE, LIKE_BASE, LIKE_TASTE, LIKE_WORTH
from benchmarks.loop_plot import mean_sd, shares
from benchmarks.loop_policies import BestPossible, Feed, K, Policy, Popularity
from benchmarks.machine import describe
from crosstower.data.datasets.worlds import Session

UNKNOWN = (
    ("own direction",),
    ("appeal",),
    ("age",),
    ("trend",),
    ("content type",),
    ("own direction", "appeal"),
    ("own direction", "appeal", "age", "trend"),
    ("taste",),
)


class Knowing(Policy):
    """Shows the best list by all terms of the world but the unknown ones."""

    def __init__(self, feed: Feed, unknown: tuple[str, ...]) -> None:
        self.world, self.lifetime, self.unknown = feed.world, feed.options.lifetime, unknown

    def choose(self, session: Session) -> list[int]:
        state, day, unknown = self.world._state, session.day, self.unknown  # the hidden truth
        ids, items = state.alive(day), state.items
        topic, vector = items.topic[ids], items.vector[ids]
        taste = state.tastes(day)[session.user_id]
        own = 0.0 if "own direction" in unknown else vector @ taste - taste[topic]
        fit = 0.0 if "taste" in unknown else taste[topic] + own
        age = FADE * (day - items.born[ids]) / self.lifetime
        common = state.popularity(ids, day)  # appeal - age + trend
        appeal = items.appeal[ids]
        common = common - appeal if "appeal" in unknown else common
        common = common + age if "age" in unknown else common
        if "trend" in unknown:
            trend = state.popularity(ids, day) - appeal + age
            common = common - trend
        kind = items.content_type[ids]
        click_base, like_base = (
            np.full(len(ids), np.mean(base)) if "content type" in unknown else np.array(base)[kind]
            for base in (list(CLICK_BASE.values()), list(LIKE_BASE.values()))
        )
        click = expit(click_base + CLICK_TASTE * fit + common)
        worth = click * (1.0 + LIKE_WORTH * expit(like_base + LIKE_TASTE * fit))
        possible = self.world.probabilities(session, ids.tolist())[0] > 0  # not clicked before
        order = np.argsort(-np.where(possible, worth, -1.0), kind="stable")
        return ids[order[:K]].tolist()

    def learn(self, session: Session, seen: object) -> None:
        """Nothing to learn."""


def worths(options: argparse.Namespace, seed: int) -> list[list[float]]:
    """Return the worth per day of popularity, of each policy, and of the best possible one."""
    found = [played(feed := Feed(options, seed), Popularity(feed))]
    found += [played(feed := Feed(options, seed), Knowing(feed, u)) for u in UNKNOWN]
    return [*found, played(feed := Feed(options, seed), BestPossible(feed))]


def main(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    print(describe(seeds=options.seeds, days=options.days, warm_up=options.warm_up))
    share = shares(np.array([worths(options, seed) for seed in options.seeds]), 0, -1)
    print("| unknown | share of the possible gain, last 3 days |\n|---|---|")
    for unknown, column in zip(UNKNOWN, share.T[1:], strict=False):
        print(f"| {', '.join(unknown)} | {mean_sd(column)} |")
