"""The evaluation of ranked lists of the whole catalogue: a model over its seeds and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
    baselines: Iterable[tuple[str, Indices]],
    answered: Answered,
    ks: Sequence[int],
) -> RetrievalReport:
    """Return the evaluation of models and baselines.

    Args:
        lists: places `[Q, K]` of the items found, one array per seed, by model; the main one first.
        baselines: (name, places `[Q, K]`), taken one after the other, so that the lists of only
            one of them are in memory.
        answered: the queries and their relevant items.
        ks: list lengths of the metrics.

    """
    headline = 10 if 10 in ks else ks[-1]
    models = [_model(name, shown, answered, ks, baseline=False) for name, shown in lists.items()]
    slices = _slices(answered)
    recalls = {
        name: _recalls(shown[0], slices, answered, headline) for name, shown in lists.items()
    }
    main = models[0]
    ndcg = np.mean([_ndcg(shown, answered, headline) for shown in lists[main.name]], axis=0)
    verdicts: list[str] = []
    for name, shown in baselines:
        models.append(_model(name, [shown], answered, ks, baseline=True))
        gap = ndcg - _ndcg(shown, answered, headline)
        verdicts.append(_verdict(main, name, gap, headline))
        recalls[name] = _recalls(shown, slices, answered, headline)
    rows = [int(kept.sum()) for kept in slices.values()]
    table = pl.DataFrame({"slice": list(slices), "rows": rows} | recalls)
    return RetrievalReport(
        questions=len(answered.cold),
        items=len(answered.counts),
        ks=tuple(ks),
        headline=headline,
        models=tuple(models),
        verdicts=tuple(verdicts),
        slices=Slices("users and items", table),
        answers=answered.answers,
    )


def _model(
    name: str, shown: Sequence[Indices], answered: Answered, ks: Sequence[int], *, baseline: bool
) -> ModelMetrics:
    seeds = [mean_metrics(s, answered.relevant, answered.counts, ks) for s in shown]
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


def _ndcg(shown: Indices, answered: Answered, k: int) -> NDArray[np.float64]:
    return list_metrics(shown, answered.relevant, [k])[f"ndcg@{k}"]


def _slices(answered: Answered) -> dict[str, NDArray[np.bool_]]:
    """Return which of the relevant pairs are in each slice of users and of items."""
    question, item = answered.relevant
    counts, cold = answered.counts[item], answered.cold[question]
    often = np.quantile(counts, 0.8) if len(counts) else 0.0
    return {
        "all": np.ones(len(item), dtype=bool),
        "users with a history": ~cold,
        "users without (cold)": cold,
        "items trained on": counts > 0,
        "items never trained on (cold)": counts == 0,
        "items of the most popular fifth of answers": counts >= often,
        "other items": counts < often,
    }


def _recalls(
    shown: Indices, slices: Mapping[str, NDArray[np.bool_]], answered: Answered, k: int
) -> list[float]:
    """Return recall@k of lists in each slice."""
    question, item = answered.relevant
    return [
        mean_known(list_metrics(shown, (question[kept], item[kept]), [k])[f"recall@{k}"])
        for kept in slices.values()
    ]
