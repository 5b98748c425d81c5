"""The evaluation of ranked lists of the whole catalogue: a model over its seeds and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.relevant_counts import RelevantCounts
from crosstower.evaluation.metrics.ranked_lists import list_metrics, mean_known, mean_metrics
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.content import ModelMetrics, RetrievalReport, Slices
from crosstower.values.arrays import Indices

Pairs = tuple[Indices, Indices]

NO_ADVICE: Mapping[str, str] = {}


@dataclass(frozen=True)
class RelevantItems:
    """Relevant (query, item) pairs of Q queries, and which queries have cold users, `[Q]`.

    `counts` `[N]` are the training rows of each item. `relevant_counts` are the numbers of all
    pairs and of those in the users' histories; None without users.
    """

    relevant: Pairs
    cold: NDArray[np.bool_]
    counts: NDArray[np.int64]
    relevant_counts: RelevantCounts | None = None


POPULARITY = "popularity"
MERGED = "merged_list"
"""The list of all sources together, which a server without a ranker gives."""

_NOTHING_LEARNED = (
    "Nothing shows that {model} has learned about users or queries: popularity gives everyone the"
    " same list. Look at the training curve: if it still rises at the end, raise training.epochs;"
    " if it is flat, raise training.embedding_learning_rate or training.patience."
)


def retrieval_report(
    lists: Mapping[str, Sequence[Indices]],
    baselines: Iterable[tuple[str, Indices]],
    targets: RelevantItems,
    ks: Sequence[int],
    *,
    advice: Mapping[str, str] = NO_ADVICE,
    merged: Sequence[Indices] = (),
) -> RetrievalReport:
    """Return the evaluation of models and baselines.

    Args:
        lists: places `[Q, K]` of the items found, one array per seed, by model; the main one first.
        baselines: (name, places `[Q, K]`), taken one after the other, so that the lists of only
            one of them are in memory.
        targets: the queries and their relevant items.
        ks: list lengths of the metrics.
        advice: sentence by baseline, for one that is better than the model.
        merged: places `[Q, K]` in the lists of all sources, one array per seed; none without.

    """
    headline = 10 if 10 in ks else ks[-1]
    models = [_model(name, shown, targets, ks, baseline=False) for name, shown in lists.items()]
    slices = _slices(targets)
    recalls = {name: _recalls(shown[0], slices, targets, headline) for name, shown in lists.items()}
    main = models[0]
    ndcg = _mean_ndcg(lists[main.name], targets, headline)
    verdicts: list[str] = []
    if merged:
        models.append(_model(MERGED, merged, targets, ks, baseline=False))
        gap = _mean_ndcg(merged, targets, headline) - ndcg
        verdicts.append(_verdict(models[-1], main.name, gap, headline))
        recalls[MERGED] = _recalls(merged[0], slices, targets, headline)
    for name, shown in baselines:
        models.append(_model(name, [shown], targets, ks, baseline=True))
        gap = ndcg - _ndcg(shown, targets, headline)
        verdict = _verdict(main, name, gap, headline)
        worse = verdict.startswith(f"{main.name} is worse") and name in advice
        verdicts.append(f"{verdict} {advice[name]}" if worse else verdict)
        if name == POPULARITY and not verdict.startswith(f"{main.name} is better"):
            verdicts.append(_NOTHING_LEARNED.format(model=main.name))
        recalls[name] = _recalls(shown, slices, targets, headline)
    rows = [int(kept.sum()) for kept in slices.values()]
    table = pl.DataFrame({"slice": list(slices), "rows": rows} | recalls)
    return RetrievalReport(
        queries=len(targets.cold),
        items=len(targets.counts),
        ks=tuple(ks),
        headline=headline,
        models=tuple(models),
        verdicts=tuple(verdicts),
        slices=Slices("users and items", table),
        relevant_counts=targets.relevant_counts,
    )


def _model(
    name: str,
    shown: Sequence[Indices],
    targets: RelevantItems,
    ks: Sequence[int],
    *,
    baseline: bool,
) -> ModelMetrics:
    seeds = [mean_metrics(s, targets.relevant, targets.counts, ks) for s in shown]
    metrics = {m: Summary.of([seed[m] for seed in seeds]) for m in seeds[0]}
    return ModelMetrics(name, "baseline" if baseline else "model", metrics)


def _verdict(model: ModelMetrics, name: str, gap: NDArray[np.float64], k: int) -> str:
    """Return a sentence about the model's NDCG minus that of baseline `name`, per query `[Q]`."""
    gap = gap[~np.isnan(gap)]
    sd = model.metrics[f"ndcg@{k}"].sd or 0.0
    error = math.hypot(float(np.std(gap)) / math.sqrt(max(len(gap), 1)), sd)
    value = float(gap.mean()) if len(gap) else 0.0
    words = "better than" if value > 2 * error else "worse than" if value < -2 * error else ""
    if words:
        verdict = f"{model.name} is {words} {name}"
    else:
        verdict = f"{model.name} does not differ significantly from {name}"
    return f"{verdict}: NDCG@{k} {value:+.4f} (± {2 * error:.4f})."


def _mean_ndcg(seeds: Sequence[Indices], targets: RelevantItems, k: int) -> NDArray[np.float64]:
    """Return the NDCG per query `[Q]`, averaged over seeds."""
    return np.mean([_ndcg(shown, targets, k) for shown in seeds], axis=0)


def _ndcg(shown: Indices, targets: RelevantItems, k: int) -> NDArray[np.float64]:
    return list_metrics(shown, targets.relevant, [k])[f"ndcg@{k}"]


def _slices(targets: RelevantItems) -> dict[str, NDArray[np.bool_]]:
    """Return which of the relevant pairs are in each slice of users and of items."""
    query, item = targets.relevant
    counts, cold = targets.counts[item], targets.cold[query]
    often = np.quantile(counts, 0.8) if len(counts) else 0.0
    return {
        "all": np.ones(len(item), dtype=bool),
        "users with a history": ~cold,
        "users without (cold)": cold,
        "items trained on": counts > 0,
        "items never trained on (cold)": counts == 0,
        "items of the most popular fifth of pairs": counts >= often,
        "other items": counts < often,
    }


def _recalls(
    shown: Indices, slices: Mapping[str, NDArray[np.bool_]], targets: RelevantItems, k: int
) -> list[float]:
    """Return recall@k of lists in each slice."""
    query, item = targets.relevant
    return [
        mean_known(list_metrics(shown, (query[kept], item[kept]), [k])[f"recall@{k}"])
        for kept in slices.values()
    ]
