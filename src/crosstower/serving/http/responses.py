"""Responses as plain data for JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import Explanation, Ranked
from crosstower.recipe.blend import Blend
from crosstower.recipe.rules import Rules
from crosstower.recipe.schema import Categorical
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.run_files import SEEN_ITEMS, USER
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.schemas import TRANSFORMS
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.event_log import moment

_EXAMPLES, _USERS = 12, 20
_NOTHING_LEFT = (
    "no item is left: all are in the user's history, excluded, or do not match the condition"
)


def list_response(live: Live, found: Ranked, *, k: int | None, stages: bool) -> dict[str, Any]:
    """Return the first k items of a result, all if None, and all candidates with `stages`.

    Items given as whole rows are numbered by row, from 0.
    """
    shown = found.places[:k]
    if live.funnel is not None and not found.rows_given:
        ids = live.funnel.catalogue.items.ids(found.places if stages else shown)
        attributes = live.funnel.catalogue.items.attributes(shown)
    else:
        ids, attributes = found.places.tolist(), [{} for _ in shown]
    drawn, counted = _drawn(found, len(shown)), _counted(live, found, len(shown))
    items = [
        _item(found, i, ids[i]) | drawn[i] | counted[i] | {"attributes": attributes[i]}
        for i in range(len(shown))
    ]
    return {
        "version": live.version,
        "fallback": found.fallback,
        "logged": False,
        "notices": _notices(found),
        "items": items,
        "stages": _stages(found, ids) if stages else None,
        "explain": None if found.explanation is None else _explained(found.explanation),
        "counted_until": _counted_until(found),
        "unknown": list(found.unknown),
        "experiment": None,
        "arm": None,
    }


def _notices(found: Ranked) -> list[str]:
    """Return the notices of a list, with one more if it is empty for another reason than rules."""
    by_rules = any(notice.startswith("rules.") for notice in found.notices)
    explained = len(found.places) or found.unknown or by_rules
    return list(found.notices) if explained else [*found.notices, _NOTHING_LEFT]


def _explained(explanation: Explanation) -> dict[str, Any]:
    return {"rules": plain_rules(explanation.rules), "removed": dict(explanation.removed)}


def plain_rules(rules: Rules) -> dict[str, Any]:
    """Return rules as plain data, without defaults."""
    return rules.model_dump(mode="json", exclude_defaults=True)


def _item(found: Ranked, i: int, item_id: Any) -> dict[str, Any]:
    moved = found.explanation.moves if found.explanation is not None else {}
    return {
        "rank": i + 1,
        "item_id": item_id,
        "score": float(found.score[i]),
        "retrieval_rank": None
        if found.retrieval_rank is None
        else int(found.retrieval_rank[i]) or None,
        "retrieval_score": _number(found.retrieval_score, i),
        "predictions": {task: float(values[i]) for task, values in found.predictions.items()},
        "blend_score": _number(found.blend_score, i),
        "team": None,
        "moves": {rule: int(places[i]) for rule, places in moved.items() if places[i]},
        "sources": _sources(found, i),
    }


def _sources(found: Ranked, i: int) -> dict[str, Any] | None:
    """Return {source: its rank and score} of a candidate, None without sources."""
    if found.sources is None:
        return None
    return {name: {"rank": r, "score": s} for name, (r, s) in found.sources.of(i).items()}


def _drawn(found: Ranked, count: int) -> list[dict[str, Any]]:
    """Return the propensities of the first items, nothing without exploration."""
    draw = found.draw
    if draw is None:
        return [{}] * count
    ranks = draw.ranks[:count]
    conditional = draw.drawn.conditionals(ranks)
    columns = {
        "propensity": draw.drawn.propensities(ranks).tolist(),
        "conditional_propensity": [None] * count if conditional is None else conditional.tolist(),
        "drawn_rank": ranks.tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _counted(live: Live, found: Ranked, count: int) -> list[dict[str, Any]]:
    """Return the counts of events that the ranker has read of the first items."""
    if live.counters is None or found.counted is None:
        return [{}] * count
    return [{"counts": live.counters.shown(found.counted, i)} for i in range(count)]


def _counted_until(found: Ranked) -> datetime | None:
    if found.counted is None:
        return None
    return moment(found.counted.time // 1_000)


def _number(values: Any, i: int) -> float | None:
    return None if values is None else float(values[i])


def _stages(found: Ranked, ids: list[Any]) -> dict[str, Any]:
    """Return every candidate; lists are made column by column, as there may be thousands."""
    count = len(found.places)
    nothing = [None] * count
    columns = [
        [rank or None for rank in _listed(found.retrieval_rank, nothing)],
        _listed(found.retrieval_score, nothing),
        _listed(found.ranked, nothing),
        _listed(found.blended, nothing),
        nothing if found.types is None else found.types.text(),
    ]
    names = list(found.predictions)
    predictions = zip(*(found.predictions[n].tolist() for n in names), strict=True)
    each = list(predictions) if names else [()] * count
    score = found.score.tolist()
    candidates = [
        {
            "item_id": ids[i],
            "rank": i + 1,
            "score": score[i],
            "retrieval_rank": columns[0][i],
            "retrieval_score": columns[1][i],
            "predictions": dict(zip(names, each[i], strict=True)),
            "ranked_rank": columns[2][i],
            "blended_rank": columns[3][i],
            "type": columns[4][i],
            "sources": _sources(found, i),
        }
        for i in range(count)
    ]
    return {
        "retrieved": found.retrieved,
        "ranked": count if names else 0,
        "candidates": candidates,
        "milliseconds": {stage: round(1e3 * s, 3) for stage, s in found.seconds.items()},
    }


def _listed(values: Any, nothing: list[Any]) -> list[Any]:
    return nothing if values is None else values.tolist()


def model_response(live: Live, settings: Settings, number: int | None) -> dict[str, Any]:
    """Return the description of the bundle that is served; `number` is that of its version."""
    manifest, funnel = live.bundle.manifest, live.funnel
    ranking = live.bundle.ranking
    kinds = ranking.recipe.schema_.kinds() if ranking is not None else {}
    own = live.blends.own
    stages = [*manifest.stages, *(["blend"] if own is not None else [])]
    runs = {"retrieval": manifest.retrieval, "ranking": manifest.ranking}
    content = {
        "version": manifest.version,
        "number": number,
        "name": manifest.name,
        "created": manifest.created,
        "crosstower": manifest.crosstower,
        "stages": stages,
        "items": 0 if funnel is None else len(funnel.catalogue.items),
        "newer_items": 0 if funnel is None else funnel.catalogue.items.newer_count,
        "candidates": manifest.candidates,
        "weights": live.weights,
        "form": live.form,
        "limits": settings.limits.model_dump(),
        "explore": None if live.explore is None else live.explore.model_dump(),
        "log": settings.log,
        "live_events": live.bundle.event_types,
        "shop": None if settings.shop is None else settings.shop.model_dump(),
        "tasks": [{"name": name, "kind": kind} for name, kind in kinds.items()],
        "blend": _blend(own.spec) if own is not None else None,
        "rules": plain_rules(live.bundle.rules),
        "blend_by": list(live.blends.by),
        "types": live.blends.types,
        "transforms": list(TRANSFORMS),
        "metrics": {name: run.metrics for name, run in runs.items() if run is not None},
    }
    return content | _funnel(funnel)


def _funnel(funnel: OnlineFunnel | None) -> dict[str, Any]:
    """Return the fields that only a bundle with items has."""
    if funnel is None:
        return {
            "user_column": None, "item_column": None, "query_columns": [], "needed_columns": [],
            "attributes": [], "text_search": False, "sample_users": [],
        }  # fmt: skip
    section = retrieval_section_of(funnel.retriever.run.recipe)
    schema, flags = funnel.catalogue.items.schema, funnel.retriever.catalogue.flags
    return {
        "user_column": section.user,
        "item_column": section.item,
        "query_columns": [
            {"name": n, "kind": _kind(funnel, n), "examples": _examples(funnel, n)}
            for n in funnel.query_columns
        ],
        "needed_columns": funnel.needed_columns,
        "attributes": [
            {"name": n, "type": str(kind), "flag": n in flags} for n, kind in schema.items()
        ],
        "text_search": len(funnel.retriever.text_sources) == 1,
        "sample_users": _sample_users(funnel),
    }


def _blend(spec: Blend) -> dict[str, Any]:
    diversity = spec.diversity
    return {
        "weights": dict(spec.weights),
        "mode": spec.mode,
        "transform": spec.transform,
        "by": spec.by,
        "amount": spec.amount,
        "diversity": None if diversity is None else diversity.model_dump(exclude_defaults=True),
    }


def _schemas(funnel: OnlineFunnel) -> list[Any]:
    encoders = [funnel.retriever.run.encoder]
    encoders += [funnel.ranker.scorer.encoder] if funnel.ranker is not None else []
    return [(encoder.schema, encoder) for encoder in encoders]


def _kind(funnel: OnlineFunnel, name: str) -> str:
    for schema, _ in _schemas(funnel):
        for own, column in schema.columns.items():
            if name in schema.part([own]).sources():
                return column.kind
    return "any"


def _examples(funnel: OnlineFunnel, name: str) -> list[Any]:
    """Return values seen in training."""
    for schema, encoder in _schemas(funnel):
        for own, column in schema.columns.items():
            if isinstance(column, Categorical) and (column.source or own) == name:
                field = next(f for f in encoder.layout.codes if f.name == own)
                values = getattr(encoder.tables[field.table], "values", None)
                return [] if values is None else values.head(_EXAMPLES).to_list()
    return []


def _sample_users(funnel: OnlineFunnel) -> list[Any]:
    """Return the users with the longest histories, whose lists are the most telling."""
    section = retrieval_section_of(funnel.retriever.run.recipe)
    if section.user is None:
        return []
    users = funnel.retriever.users
    most = users.select(USER, count=users[SEEN_ITEMS].list.len()).sort("count", descending=True)
    return most.head(_USERS)[USER].to_list()
