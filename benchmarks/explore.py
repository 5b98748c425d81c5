"""Off-policy estimates from a server's own log, against the truth.

A server in this process draws, states and logs lists; users click with known probabilities, which
depend on the item and its place. Another bundle, with another ranker, is then evaluated from the
log. Its true value is known: the mean over users of its item-at-rank probabilities times the click
probabilities. `coverage` is the share of repetitions whose 95 % interval holds it. A second table
compares 200,000 draws per kind with the stated propensities (Pearson's test), and a third one has
the cost of exploration and of the log per request. With `--direct`, the same code draws the lists
without server and log, and each user's candidates are ranked once.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from pydantic import TypeAdapter
from scipy import stats

from benchmarks.explore_direct import SHOWN, click_rate, drawn_rows, drawn_user
from benchmarks.machine import describe
from crosstower import fit
from crosstower.blending.exploration.explore import Exploration
from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.exploration.pool import Pool
from crosstower.fitting.off_policy.comparison import policy_report
from crosstower.fitting.off_policy.report import PolicyFacts, PolicyReport
from crosstower.funnel.online.request import FunnelRequest
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Settings
from crosstower.serving.off_policy import report_of_lists
from crosstower.serving.state.impressions import LoggedList, logged_lists, rewards_of
from crosstower.serving.state.state import State

USERS, POOL = tuple(range(1, 41)), 8
ESTIMATORS = {"inverse_propensity": "IPS", "self_normalised": "SNIPS", "doubly_robust": "DR"}
DRAWS = 200_000


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks explore", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--lists", type=int, default=200, help="lists per repetition")
    parser.add_argument("--kinds", nargs="+", default=["plackett_luce", "epsilon", "thompson"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--direct", action="store_true", help="print coverage only, without server and log"
    )
    parser.add_argument("--folder", type=Path, help="keeps the bundles")
    options = parser.parse_args(arguments)
    print(describe(seeds=1))
    if not options.direct:
        draws(options.kinds)
    with tempfile.TemporaryDirectory() as aside:
        served, other = bundles(options.folder or Path(aside))
        unit = spread(served)
        if not options.direct:
            costs(served, Path(aside), unit)
        start(options.repetitions, options.lists)
        for kind in options.kinds:
            if options.direct:
                direct((served, other), kinds(unit)[kind], kind, options)
                continue
            log(served, Path(aside) / kind, kinds(unit)[kind], options)
            lists, rewards = logged(Path(aside) / kind)
            evaluate(other, lists, rewards, kind, options)


def kinds(unit: float) -> dict[str, dict[str, Any]]:
    """Return options per kind; `unit` is the spread of the scores of a pool."""
    return {
        "plackett_luce": {"kind": "plackett_luce", "temperature": unit, "top": POOL},
        "epsilon": {"kind": "epsilon", "epsilon": 0.6, "top": POOL},
        "thompson": {"kind": "thompson", "prior_sd": unit, "noise_sd": 4 * unit, "top": POOL},
    }


def draws(names: Iterable[str]) -> None:
    """Compare draws with the stated probabilities, rank by rank."""
    pool = Pool(np.array([1.0, 0.8, 0.5, 0.3, 0.0, -0.4]), np.array([90, 0, 3, 40, 0, 8]))
    print(f"\n| {DRAWS:,} draws | p-value at rank 1 | at rank 2 | at rank 3 | largest difference |")
    print("|---|---|---|---|---|")
    for name in names:
        kind = TypeAdapter[Exploration](Exploration).validate_python(kinds(0.8)[name])
        random, counts = np.random.default_rng(1), np.zeros((len(pool), 3))
        for _ in range(DRAWS):
            counts[kind.draw(pool, random)[:3], range(3)] += 1
        expected = DRAWS * kind.chances(pool, np.arange(len(pool)), 3)
        p = stats.chisquare(counts, expected, axis=0, sum_check=False).pvalue
        gap = np.abs(counts - expected).max() / DRAWS
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in p)} | {gap:.5f} |", flush=True)


def bundles(folder: Path) -> tuple[Bundle, Bundle]:
    """Return two bundles with one retriever: of an MLP, which is served, and of another ranker."""
    if not (folder / "other").is_dir():
        runs = {r.name: fit(r, out=folder / f"run-{r.name}", quiet=True) for r in recipes()}
        for name in ("served", "other"):
            make_bundle([runs["retrieval"], runs[name]], folder / name, candidates=50)
    return Bundle.open(folder / "served"), Bundle.open(folder / "other")


def recipes() -> list[Recipe]:
    data = {"path": "world:rentals", "rows": 30_000,
            "split": {"kind": "time", "column": "timestamp"}}  # fmt: skip
    query = {"home_city": "categorical", "wanted": "categorical"}
    item = {"listing_id": "categorical", "city": "categorical", "amenities": "bag"}
    training = {"epochs": 2, "embedding_learning_rate": 0.02}
    section = {"user": "user_id", "item": "listing_id", "time": "timestamp",
               "where": "click == 1", "baselines": []}  # fmt: skip
    retrieval = {"name": "retrieval", "data": data, "schema": {"columns": query | item},
                 "model": {"item": list(item), "dim": 8}, "retrieval": section,
                 "training": training}  # fmt: skip
    rankers = [
        {"name": name, "data": data, "model": {"name": model}, "training": training,
         "schema": {"columns": query | item, "tasks": {"click": "binary"}},
         "evaluation": {"baselines": []}}
        for name, model in (("served", "mlp"), ("other", "logistic_regression"))
    ]  # fmt: skip
    return [Recipe.model_validate(plain) for plain in (retrieval, *rankers)]


def spread(bundle: Bundle) -> float:
    """Return the mean standard deviation of the best scores of a user."""
    funnel = Live.open(bundle).needs_funnel
    found = [funnel.recommend(FunnelRequest(user=user, k=POOL)) for user in USERS]
    return float(np.mean([result.score[:POOL].std() for result in found]))


def log(bundle: Bundle, folder: Path, explore: Mapping[str, Any], options: Any) -> None:
    """Serve lists, which the server logs, and report the clicks on them."""
    random = np.random.default_rng(options.seed)
    settings = Settings(bundle=bundle.folder, state=folder)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        for repetition in range(options.repetitions):
            clicks: list[dict[str, Any]] = []
            for number in range(options.lists):
                name, user = f"{repetition}-{number}", int(random.choice(USERS))
                found = recommend(client, user, name, explore=explore, log=True)
                clicks += [
                    {"event_id": f"{name}/{item['rank']}/click", "type": "click", "user": user,
                     "request_id": name, "item_id": item["item_id"]}
                    for item in found["items"]
                    if random.random() < click_rate(item["item_id"], item["rank"])
                ]  # fmt: skip
            response = client.post("/v1/events", json={"events": clicks})
            response.raise_for_status()


def logged(folder: Path) -> tuple[list[LoggedList], dict[tuple[str, Any], float]]:
    """Return the lists of a server's state, and the rewards of their items."""
    with State.open_existing(folder) as state:
        lists = logged_lists(state.database, after=None, until=None)
        return lists, rewards_of(state.database, "click")


def direct(
    bundles: tuple[Bundle, Bundle], plain: Mapping[str, Any], kind: str, options: Any
) -> None:
    """Print the same of lists that are drawn without a server, from the same pool of each user."""
    random = np.random.default_rng(options.seed)
    explored = TypeAdapter[Exploration](Exploration).validate_python(dict(plain))
    served, other = (Live.open(bundle).needs_funnel for bundle in bundles)
    temperature = 0.7 * spread(bundles[1])
    users = [drawn_user(served, other, user, explored, temperature) for user in USERS]
    facts = PolicyFacts("click", "click", temperature, None, "item_id", (), POOL,
                        lists=options.lists)  # fmt: skip
    reports = [
        policy_report(drawn_rows(users, explored, options.lists, random), facts)
        for _ in range(options.repetitions)
    ]
    truth = float(np.mean([one.worth for one in users]))
    for estimator, title in ESTIMATORS.items():
        show(f"{kind}, {title}", reports, estimator, truth)


def recommend(client: TestClient, user: int, name: str, **more: Any) -> dict[str, Any]:
    body = {"user": user, "k": SHOWN} | more
    response = client.post("/v1/recommend", json=body, headers={"X-Request-Id": name})
    response.raise_for_status()
    return response.json()


def evaluate(
    bundle: Bundle,
    lists: list[LoggedList],
    rewards: Mapping[tuple[str, Any], float],
    kind: str,
    options: Any,
) -> None:
    """Print how often the intervals of another policy hold its true value."""
    live = Live.open(bundle)
    temperature = 0.7 * spread(bundle)
    truth = true_value(live, {logged.user: logged for logged in lists}, temperature)
    parts: list[list[LoggedList]] = [[] for _ in range(options.repetitions)]
    for logged in lists:
        parts[int(logged.request_id.partition("-")[0])].append(logged)
    reports = [
        report_of_lists(live, part, rewards, "click", temperature=temperature) for part in parts
    ]
    for estimator, title in ESTIMATORS.items():
        show(f"{kind}, {title}", reports, estimator, truth)


def true_value(live: Live, by_user: Mapping[int, LoggedList], temperature: float) -> float:
    """Return the mean clicks per place of a Plackett-Luce policy, over all users."""
    policy, values = PlackettLuce(temperature=temperature), []
    for user, logged in by_user.items():
        request = FunnelRequest(user=user, query=logged.query)
        found = live.needs_funnel.rank(request, logged.candidates)
        ids = live.needs_funnel.catalogue.items.ids(found.places)
        pool = Pool(found.score, np.zeros(len(ids), np.int64))
        chances = policy.chances(pool, np.arange(len(ids)), SHOWN)
        rates = [[click_rate(item, rank + 1) for rank in range(SHOWN)] for item in ids]
        values.append(float((chances * np.array(rates)).sum() / SHOWN))
    return float(np.mean(values))


def costs(bundle: Bundle, folder: Path, unit: float) -> None:
    """Print the time of a request: alone, with exploration, and with the log."""
    settings = Settings(bundle=bundle.folder, state=folder / "costs")
    print("\n| request, k = 10 of 50 candidates | median ms | CPU ms |\n|---|---|---|")
    every = {name: {"explore": {**plain, "top": 50}} for name, plain in kinds(unit).items()}
    cases = {"plain": {}} | every | {"plain, logged": {"log": True}}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        for number in range(200):
            for name, more in cases.items():
                begin = time.perf_counter(), time.process_time()
                recommend(client, USERS[number % len(USERS)], f"c{number}", **more | {"k": 10})
                taken[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    for name, times in taken.items():
        wall, cpu = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |", flush=True)


def start(repetitions: int, lists: int) -> None:
    print(f"\n{repetitions} repetitions of {lists} lists with {SHOWN} of {POOL} candidates\n")
    print("| log, estimator | true value | mean estimate | sd | mean standard error | coverage |")
    print("|---|---|---|---|---|---|")


def show(title: str, reports: list[PolicyReport], estimator: str, truth: float) -> None:
    found = [report.policies["model"][estimator] for report in reports]
    values = np.array([estimate.value for estimate in found])
    held = [low <= truth <= high for low, high in (e.interval() for e in found)]
    error = np.mean([estimate.standard_error for estimate in found])
    print(
        f"| {title} | {truth:.4f} | {values.mean():.4f} | {values.std(ddof=1):.4f} | {error:.4f}"
        f" | {np.mean(held):.1%} |",
        flush=True,
    )
