"""How often the gate of a retraining rejects a new bundle.

    python -m benchmarks gate

True click probabilities vary by row and user. Both bundles predict them with independent noise of
equal size. The new one has more noise in the rows below the first, or predicts too much. A bundle
is rejected by AUC, log loss or calibration, with the default limits.
"""

import argparse
import math

import numpy as np

from benchmarks.machine import describe
from crosstower.evaluation.metrics.paired import auc_statistic, mean_statistic, ratio_statistic
from crosstower.serving.retraining.decision import decide
from crosstower.serving.retraining.figures import Verdict
from crosstower.serving.retraining.limits import GateLimits
from crosstower.serving.retraining.measures import BundleMeasures, Measure

NOISE = 0.4  # of both bundles, on the scale of logits
CASES = {  # name: (additional noise of the new bundle, factor of its odds)
    "equal": (0.0, 1.0),
    "noise 0.2": (0.2, 1.0),
    "noise 0.3": (0.3, 1.0),
    "noise 0.5": (0.5, 1.0),
    "noise 0.8": (0.8, 1.0),
    "odds x 1.5": (0.0, 1.5),
}


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--rows-per-user", type=int, default=10)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--samples", type=int, default=1_000)
    options = parser.parse_args(arguments)
    print(describe(runs=options.runs, samples=options.samples, seeds=f"0-{options.runs - 1}"))
    print(f"{'rows':>7}  {'new bundle':12}{'loss of AUC':>12}{'found at 80 %':>15}{'rejected':>9}")
    limits = GateLimits(samples=options.samples)
    for rows in options.rows:
        for name, case in CASES.items():
            users = rows // options.rows_per_user
            found = [verdict(seed, rows, users, case, limits) for seed in range(options.runs)]
            aucs = [v.figures.comparisons[0] for v in found]
            loss = -float(np.mean([c.gain for c in aucs]))
            least = float(np.mean([c.detectable for c in aucs]))
            refused = float(np.mean([not v.passed for v in found]))
            print(f"{rows:>7,}  {name:12}{loss:>12.4f}{least:>15.4f}{refused:>9.1%}", flush=True)


def verdict(
    seed: int, rows: int, users: int, case: tuple[float, float], limits: GateLimits
) -> Verdict:
    """Return the verdict on one simulated bundle."""
    random = np.random.default_rng(seed)
    user = random.integers(0, users, rows)
    logit = random.normal(-2.0, 1.0, rows) + random.normal(0.0, 0.5, users)[user]
    y = (random.random(rows) < 1.0 / (1.0 + np.exp(-logit))).astype(np.float64)
    noise, odds = case
    blurred = [
        logit + random.normal(0.0, NOISE, rows),
        logit + random.normal(0.0, math.hypot(NOISE, noise), rows) + math.log(odds),
    ]
    p = 1.0 / (1.0 + np.exp(-np.stack(blurred, axis=1)))
    loss = mean_statistic(-np.log(np.where(y[:, None] == 1, p, 1.0 - p)), user)
    ratio = ratio_statistic(p, np.stack([y, y], axis=1), user)
    measures = BundleMeasures(
        [
            Measure("click", "auc", auc_statistic(y, p, user), users),
            Measure("click", "log_loss", loss, users, higher=False, relative=True),
        ],
        {"click": Measure("click", "ratio", ratio, users)},
        {"click": p},
    )
    return decide([measures], rows=rows, users=users, limits=limits)
