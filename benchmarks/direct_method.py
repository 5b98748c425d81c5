"""How often the intervals of the direct method and its relatives hold the truth.

A simulated log whose policy values are known: five actions, four features of a row, rewards of 0 or
1 by a logistic world. The reward model, a logistic regression, is fitted on training rows and
judges a policy on other rows. Its form is right (features by action) or wrong (features and actions
apart, the world has them by action). `rows alone` is the error that knows of rows only; `refits`
adds the spread of models fitted again on bootstrap samples, as `crosstower off-policy --refits`
does.
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import describe
from crosstower.fitting.off_policy.estimators import all_estimates, policy_probabilities
from crosstower.fitting.off_policy.importance import Estimate

ACTIONS, FEATURES = 5, 4
Floats = NDArray[np.float64]
Design = Callable[[Floats, NDArray[np.int64]], Floats]


class World:
    """Chances of a reward, a logging policy and an evaluated one, all functions of features."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.weights = random.normal(0.0, 0.7, (FEATURES, ACTIONS))
        self.offset = random.normal(-1.0, 0.5, ACTIONS)
        self.logging = random.normal(0.0, 0.5, (FEATURES, ACTIONS))
        many = random.normal(size=(200_000, FEATURES))
        self.value = float((self.policy(many) * self.chance(many)).sum(axis=1).mean())

    def chance(self, x: Floats) -> Floats:
        return expit(x @ self.weights + self.offset)

    def policy(self, x: Floats) -> Floats:
        return policy_probabilities(x @ self.weights + self.offset, 0.5)

    def log(
        self, rows: int, random: np.random.Generator
    ) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
        """Return features, actions, rewards and propensities."""
        x = random.normal(size=(rows, FEATURES))
        chances = policy_probabilities(x @ self.logging, 1.0)
        action = (random.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1)
        at = np.arange(rows), action
        reward = (random.random(rows) < self.chance(x)[at]) * 1.0
        return x, action, reward, chances[at]


def by_action(x: Floats, action: NDArray[np.int64]) -> Floats:
    own = np.eye(ACTIONS)[action]
    crossed = (own[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    return np.hstack([own, crossed])


def apart(x: Floats, action: NDArray[np.int64]) -> Floats:
    return np.hstack([np.eye(ACTIONS)[action], x])


def fitted(
    x: Floats, action: NDArray[np.int64], reward: Floats, design: Design
) -> Callable[[Floats], Floats]:
    """Return a reward model, `[B, F]` to `[B, A]`."""
    model = LogisticRegression(C=100.0, max_iter=200).fit(design(x, action), reward)

    def predict(other: Floats) -> Floats:
        columns = [design(other, np.full(len(other), a)) for a in range(ACTIONS)]
        return np.stack([model.predict_proba(c)[:, 1] for c in columns], axis=1)

    return predict


def estimates(
    world: World, design: Design, rows: int, refits: int, seed: int
) -> dict[str, Estimate]:
    random = np.random.default_rng(seed)
    x, action, reward, _ = world.log(rows, random)
    test, taken, earned, propensity = world.log(rows, random)
    policy, at = world.policy(test), (np.arange(rows), taken)
    model = fitted(x, action, reward, design)(test)
    again = []
    for _ in range(refits):
        drawn = random.integers(0, rows, rows)
        found = fitted(x[drawn], action[drawn], reward[drawn], design)(test)
        again.append((policy * found).sum(axis=1))
    expected = (policy * model).sum(axis=1)
    found = all_estimates(
        earned,
        propensity,
        policy[at],
        predicted=model[at],
        predicted_target=expected,
        refits=np.stack(again),
    )
    alone = float(expected.std(ddof=1)) / rows**0.5
    direct = found.pop("direct_method")
    return {
        "direct method, rows alone": _with_error(direct, alone),
        "direct method, refits": direct,
        "doubly robust": found["doubly_robust"],
        "Switch-DR": found["switch_doubly_robust"],
        "DR with optimistic shrinkage": found["shrunk_doubly_robust"],
    }


def _with_error(estimate: Estimate, error: float) -> Estimate:
    return Estimate(estimate.value, error, estimate.effective_sample_size, estimate.rows, 1.0, 0)


def coverage(
    design: Design, *, rows: int, refits: int, repeats: int
) -> dict[str, tuple[float, float, float, float]]:
    """Return {estimator: (bias, root mean squared error, mean half width, share held)}."""
    worlds = [World(seed) for seed in range(repeats // 10)]
    found: dict[str, list[tuple[float, float]]] = {}
    for repeat in range(repeats):
        world = worlds[repeat % len(worlds)]
        for name, one in estimates(world, design, rows, refits, repeat).items():
            gap = one.value - world.value
            found.setdefault(name, []).append((gap, 1.96 * one.standard_error))
    table: dict[str, tuple[float, float, float, float]] = {}
    for name, pairs in found.items():
        gap, half = np.array(pairs).T
        root = float(np.sqrt((gap**2).mean()))
        table[name] = float(gap.mean()), root, float(half.mean()), float((abs(gap) < half).mean())
    return table


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks direct_method", description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--refits", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args(arguments)
    print(describe(seeds=options.repeats))
    for title, design in (("right form", by_action), ("wrong form", apart)):
        print(f"\n{title}\n\n| estimator | bias | error | half width | 95 % interval holds |")
        print("|---|---|---|---|---|")
        found = coverage(design, rows=options.rows, refits=options.refits, repeats=options.repeats)
        for name, (bias, root, half, held) in found.items():
            print(f"| {name} | {bias:+.4f} | {root:.4f} | {half:.4f} | {held:.1%} |", flush=True)
