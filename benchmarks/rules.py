"""Time of each rule for one list.

    python -m benchmarks rules

Candidates have random columns and vectors, and the conditions of rules are kept, as by a server
from the second request on. Each row is a list with one rule, from the candidates in order to the
list after the rule.
"""

import argparse
import time
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import describe
from crosstower.blending.rules.apply import apply_rules
from crosstower.blending.rules.attributes import RuleRows
from crosstower.recipe.rules import Rules

NOW = 1_790_000_000.0
RULES: dict[str, dict[str, Any]] = {
    "require, exclude": {"require": "bid > 0.1"},
    "boost, bury": {"boost": {"where": "ad", "add": 1}},
    "freshness": {"freshness": {"column": "born", "half_life": "7d"}},
    "dedup_by": {"dedup_by": "seller"},
    "mmr, vectors": {"mmr": {}},
    "mmr, two columns": {"mmr": {"similar_by": ["seller", "topic"]}},
    "dpp": {"dpp": {}},
    "spacing": {"spacing": {"column": "topic"}},
    "max_per": {"max_per": {"column": "topic", "most": 2, "within": 10}},
    "slots": {"slots": {"where": "ad", "every": 5}},
    "pin": {"pin": {"item": 9, "at": 2}},
}


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rules", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args(arguments)
    chosen = {"candidates": options.candidates, "width": options.width, "calls": options.calls}
    print(describe(**chosen, seed=0))
    print("median ms")
    print(f"{'rule':18}" + "".join(f"{f'k = {k}':>10}" for k in options.k))
    rows, score = candidates(options.candidates, options.width)
    for name, keys in RULES.items():
        cells = [timed(Rules(**keys), rows, score, k, options.calls) for k in options.k]
        print(f"{name:18}" + "".join(f"{cell:>10}" for cell in cells))


def candidates(count: int, width: int) -> tuple[RuleRows, np.ndarray]:
    """Return candidates and their scores."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(count, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pl.DataFrame(
        {
            "seller": random.integers(0, 200, count).astype(str),
            "topic": random.integers(0, 12, count),
            "ad": random.random(count) < 0.2,
            "bid": random.random(count),
            "born": NOW - 1e6 * random.random(count),
        }
    )
    plain = RuleRows.of_table(table, range(count), lambda: vectors)
    masks = {where: plain.fits(where) for where in ("ad", "bid > 0.1")}
    rows = RuleRows(count, plain.column, masks.__getitem__, plain.row_of, plain.vectors)
    return rows, random.normal(size=count)


def timed(rules: Rules, rows: RuleRows, score: np.ndarray, k: int, calls: int) -> str:
    """Return the median time of a call in ms."""
    order, times = np.argsort(-score), np.empty(calls)
    for call in range(calls):
        start = time.perf_counter()
        apply_rules(rules, rows, order, score, k=k, now=NOW)
        times[call] = 1e3 * (time.perf_counter() - start)
    return f"{np.median(times):.2f}"
