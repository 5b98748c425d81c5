"""Experiments in simulation: false alarms, coverage, CUPED, and interleaving against A/B.

Users have a taste (gamma distributed), arrive on any day and come back on some. Reports are looked
at daily for four weeks. Interleaving and A/B tests compare the same two rankers: scores of 50
candidates are the log of their attractiveness plus noise, and users scan a list of ten from the
top, leaving after each place with a probability of 20 %. Users differ little (Poisson visits,
exponential taste) or much (Pareto visits, gamma taste of shape 0.5).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.machine import describe
from crosstower.evaluation.experiments.confidence_sequences import needed_error
from crosstower.evaluation.experiments.cuped import adjusted
from crosstower.evaluation.experiments.interleaving import PREFERENCE_SCALE, preference, team_draft
from crosstower.evaluation.experiments.lifts import Lift, lift_of, means_of, per_user

DAYS, USERS = 28, 4_000
EXPECTED = 0.05
NORMAL = 1.959964
CANDIDATES, PLACES, STAYS = 50, 10, 0.8
NOISE = (1.0, 0.7)  # of the scores of the two rankers


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks experiments", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--pool", type=int, default=40_000, help="Users of the comparison.")
    options = parser.parse_args(arguments)
    print(describe(runs=options.runs, users=USERS, days=DAYS, pool=options.pool))
    looks(options.runs)
    covariates(options.runs)
    interleaved(options.pool, options.runs)


@dataclass(frozen=True)
class Day:
    """Users so far `[U]`: clicks and impressions, of now and of the week before the start."""

    arms: np.ndarray
    clicks: np.ndarray
    shown: np.ndarray
    before: np.ndarray


def days(seed: int, lift: float) -> Iterator[Day]:
    """Yield the users after each day."""
    random = np.random.default_rng(seed)
    arms = random.integers(0, 2, USERS)
    taste = random.gamma(2.0, 0.02, USERS)
    arrives = random.integers(0, DAYS, USERS)
    before = random.poisson(200 * taste) * 1.0
    clicks, shown = np.zeros(USERS), np.zeros(USERS)
    for day in range(DAYS):
        here = (arrives == day) | ((arrives < day) & (random.random(USERS) < 0.3))
        shown[here] += 10
        clicks[here] += random.binomial(10, np.minimum(taste[here] * (1 + lift * arms[here]), 1))
        seen = arrives <= day
        yield Day(arms[seen], clicks[seen], shown[seen], before[seen])


def lifts(day: Day) -> dict[str, Lift]:
    """Return the lift by metric."""
    ratio = per_user(day.clicks, day.shown, day.arms)
    values = {
        "clicks per user": day.clicks,
        "clicks per user, CUPED": adjusted(day.clicks, day.before, day.arms).values,
        "clicks per impression": ratio,
        "clicks per impression, CUPED": adjusted(ratio, day.before, day.arms).values,
    }
    return {
        name: lift_of(*means_of(one, day.clicks > 0, day.arms, 2), EXPECTED)
        for name, one in values.items()
    }


def looks(runs: int) -> None:
    """Print how often a run misses the true lift at any look, and finds it at the end."""
    print(f"Runs of {runs:,} in which any of {DAYS} daily intervals misses the true lift:")
    print(f"{'metric':30} {'lift':>5} {'always valid':>13} {'fixed 95 %':>11} {'found':>6}")
    for lift in (0.0, 0.05, 0.2):
        missed: dict[str, list[tuple[bool, bool]]] = {}
        found: dict[str, int] = {}
        for seed in range(runs):
            series = [lifts(day) for day in days(seed, lift)]
            for name in series[0]:
                known = [one[name] for one in series if one[name].known]
                valid = any(not one.low <= lift <= one.high for one in known)
                fixed = any(abs(one.value - lift) > NORMAL * one.standard_error for one in known)
                missed.setdefault(name, []).append((valid, fixed))
                end = series[-1][name]
                found[name] = found.get(name, 0) + (end.low > 0)
        for name, misses in missed.items():
            valid, fixed = np.mean(misses, axis=0)
            print(f"{name:30} {lift:5.2f} {valid:13.1%} {fixed:11.1%} {found[name] / runs:6.1%}")


def covariates(runs: int) -> None:
    """Print the share of the variance that CUPED removes, and its closed form."""
    plain, less, closed = [], [], []
    for seed in range(runs):
        *_, last = days(seed, 0.0)
        found = adjusted(last.clicks, last.before, last.arms)
        for values, kept in ((last.clicks, plain), (found.values, less)):
            first, second = means_of(values, last.clicks > 0, last.arms, 2)
            kept.append(second.value - first.value)
        closed.append(found.reduction)
    measured = 1 - np.var(less) / np.var(plain)
    rest = 1 - np.corrcoef(plain, less)[0, 1] ** 2
    noise = 2 * (1 - measured) * np.sqrt(rest / runs)  # of a ratio of two related variances
    print(
        f"CUPED removes {measured:.1%} ± {noise:.1%} of the variance of the difference;"
        f" closed form, squared correlation: {np.mean(closed):.1%} ± {np.std(closed):.1%}"
    )


@dataclass(frozen=True)
class Pool:
    """Users `[U]`: clicks with each ranker alone, and on each ranker's items when interleaved."""

    alone: np.ndarray
    teams: np.ndarray


def pool(users: int, *, alike: bool) -> Pool:
    """Return simulated users, who differ little or much in activity and taste."""
    random = np.random.default_rng(0)
    alone, teams = np.zeros((users, 2)), np.zeros((users, 2))
    scan = STAYS ** np.arange(PLACES)
    for user in range(users):
        visits = 1 + (random.poisson(4) if alike else int(2 * random.pareto(1.5)) % 200)
        taste = random.gamma(1.0, 1.0) if alike else random.gamma(0.5, 2.0)
        for visit in range(visits):
            attraction = random.normal(0.0, 1.0, CANDIDATES)
            orders = [
                np.argsort(-attraction - noise * random.normal(size=CANDIDATES))[:PLACES]
                for noise in NOISE
            ]
            chance = np.minimum(0.02 * taste * np.exp(attraction), 1.0)
            mixed = team_draft(*(o.tolist() for o in orders), PLACES, request_id=f"{user}-{visit}")
            for ranker, order in enumerate(orders):
                clicked = random.random(PLACES) < chance[order] * scan
                alone[user, ranker] += clicked.sum()
            clicked = random.random(PLACES) < chance[mixed.items] * scan
            teams[user] += np.bincount(np.array(mixed.teams)[clicked], minlength=2)
    return Pool(alone, teams)


def interleaved(users: int, runs: int) -> None:
    """Print the users that an A/B test and interleaving need for a power of 80 %."""
    for alike, words in ((True, "differ little"), (False, "differ much")):
        one = pool(users, alike=alike)
        first, second = one.alone.T
        lift = second.mean() / first.mean() - 1
        arms = np.repeat([0, 1], users)
        ab = lift_of(*means_of(one.alone.T.ravel(), np.ones(2 * users, bool), arms, 2), lift)
        apart = 2 * users * (ab.standard_error / needed_error(lift, lift)) ** 2
        found = preference(*one.teams.T)
        error = needed_error(found.estimate, PREFERENCE_SCALE)
        together = users * (found.standard_error / error) ** 2
        print(
            f"Users who {words}: clicks per user {first.mean():.3f} and {second.mean():.3f}, lift"
            f" {lift:.1%}; lead in clicks {found.estimate:.1%} ± {found.standard_error:.1%}"
        )
        print(
            f"Users needed for a power of 80 %: A/B {apart:,.0f}, interleaving {together:,.0f},"
            f" ratio {apart / together:.0f}"
        )
        measured = powers(one, round(apart), round(together), lift, runs)
        print(f"Power measured: A/B {measured[0]:.1%}, interleaving {measured[1]:.1%}")


def powers(one: Pool, apart: int, together: int, lift: float, runs: int) -> tuple[float, float]:
    """Return the share of runs that find the better ranker with users drawn from a pool."""
    random, wins = np.random.default_rng(1), np.zeros(2)
    arms = np.repeat([0, 1], apart // 2)
    for _ in range(runs):
        clicks = one.alone[random.integers(0, len(one.alone), len(arms)), arms]
        wins[0] += lift_of(*means_of(clicks, clicks > 0, arms, 2), lift).low > 0
        wins[1] += preference(*one.teams[random.integers(0, len(one.alone), together)].T).low > 0
    return float(wins[0] / runs), float(wins[1] / runs)
