"""The evaluation of ranked lists of the whole catalogue: a model over its seeds and baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.answer_counts import AnswerCounts
from crosstower.evaluation.metrics.lists import list_metrics, mean_known, mean_metrics
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.content import ModelMetrics, RetrievalReport, Slices
from crosstower.values.arrays import Indices

Pairs = tuple[Indices, Indices]


@dataclass(frozen=True)
class Answered:
    """Queries with their answers: relevant (query, item) pairs, cold users `[Q]`.

    `counts` `[N]` are the training rows of each item, `answers` counts the pairs that are in
    the users' history.
    """

    relevant: Pairs
    cold: NDArray[np.bool_]
    counts: NDArray[np.int64]
    answers: AnswerCounts | None = None


def retrieval_report(
    lists: Mapping[str, Sequence[Indices]],
    baselines: Mapping[str, Indices],
    answered: Answered,
    ks: Sequence[int],
) -> RetrievalReport:
    """Evaluate the lists `[Q, K]` of every model, one per seed, and of every baseline."""
    headline = 10 if 10 in ks else ks[-1]
    models = [_model(name, shown, answered, ks, baseline=False) for name, shown in lists.items()]
    models += [_model(n, [shown], answered, ks, baseline=True) for n, shown in baselines.items()]
    every = {name: shown[0] for name, shown in lists.items()} | dict(baselines)
    return RetrievalReport(
        questions=len(answered.cold),
        items=len(answered.counts),
        ks=tuple(ks),
        headline=headline,
        models=tuple(models),
        verdicts=tuple(_verdicts(models, lists, baselines, answered, headline)),
        slices=Slices("users and items", _slices(every, answered, headline)),
        answers=answered.answers,
    )


def _model(
    name: str, shown: Sequence[Indices], answered: Answered, ks: Sequence[int], *, baseline: bool
) -> ModelMetrics:
    seeds = [mean_metrics(s, answered.relevant, answered.counts, ks) for s in shown]
    metrics = {m: Summary.of([seed[m] for seed in seeds]) for m in seeds[0]}
    return ModelMetrics(name, "baseline" if baseline else "model", metrics)


def _verdicts(
    models: Sequence[ModelMetrics],
    lists: Mapping[str, Sequence[Indices]],
    baselines: Mapping[str, Indices],
    answered: Answered,
    k: int,
) -> list[str]:
    """Return a sentence per baseline that compares the model's NDCG with its own."""
    model = models[0]
    mine = np.mean([_ndcg(shown, answered, k) for shown in lists[model.name]], axis=0)
    sd = model.metrics[f"ndcg@{k}"].sd or 0.0
    sentences: list[str] = []
    for name, shown in baselines.items():
        gap = mine - _ndcg(shown, answered, k)
        gap = gap[~np.isnan(gap)]
        error = math.hypot(float(np.std(gap)) / math.sqrt(max(len(gap), 1)), sd)
        value = float(gap.mean()) if len(gap) else 0.0
        words = "better than" if value > 2 * error else "worse than" if value < -2 * error else ""
        if words:
            verdict = f"{model.name} is {words} {name}"
        else:
            verdict = f"{model.name} does not differ significantly from {name}"
        sentences.append(f"{verdict}: NDCG@{k} {value:+.4f} (± {2 * error:.4f}).")
    return sentences


def _ndcg(shown: Indices, answered: Answered, k: int) -> NDArray[np.float64]:
    return list_metrics(shown, answered.relevant, [k])[f"ndcg@{k}"]


def _slices(lists: Mapping[str, Indices], answered: Answered, k: int) -> pl.DataFrame:
    """Return recall@k of each list for cold and warm users and items, and for popular items."""
    question, item = answered.relevant
    counts, cold = answered.counts[item], answered.cold[question]
    often = np.quantile(counts, 0.8) if len(counts) else 0.0
    slices = {
        "all": np.ones(len(item), dtype=bool),
        "users with a history": ~cold,
        "users without (cold)": cold,
        "items trained on": counts > 0,
        "items never trained on (cold)": counts == 0,
        "items of the most popular fifth of answers": counts >= often,
        "other items": counts < often,
    }
    rows: list[dict[str, object]] = []
    for name, kept in slices.items():
        row: dict[str, object] = {"slice": name, "rows": int(kept.sum())}
        for model, shown in lists.items():
            found = list_metrics(shown, (question[kept], item[kept]), [k])[f"recall@{k}"]
            row[model] = mean_known(found)
        rows.append(row)
    return pl.DataFrame(rows)
