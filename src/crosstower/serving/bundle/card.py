"""The model card of a bundle, in Markdown and HTML, from its manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstower.evaluation.metrics.registry import names_of, title_of
from crosstower.evaluation.reports.report import render_page
from crosstower.serving.bundle.manifest import Manifest, RunFacts

_STAGES = {"retrieval": "Retrieval", "ranking": "Ranking"}


@dataclass(frozen=True)
class _Table:
    """Metrics of the test rows: a row a model, as text."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class _Part:
    """What a card says of one of the two models."""

    title: str
    facts: list[tuple[str, str]]
    tables: list[_Table]


def write_cards(folder: Path, manifest: Manifest) -> None:
    """Write card.md and card.html into a folder."""
    facts, parts = _facts(manifest), _parts(manifest)
    title = f"Model card: {manifest.name}"
    (folder / "card.md").write_text(_markdown(title, facts, parts), encoding="utf-8")
    page = render_page("card.html.j2", title=title, facts=facts, parts=parts)
    (folder / "card.html").write_text(page, encoding="utf-8")


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    libraries = ", ".join(f"{n} {v}" for n, v in manifest.libraries.items())
    items = f"{manifest.items:,}, index: {manifest.index}" if manifest.index else "none"
    if manifest.index == "ann" and manifest.index_recall is not None:
        items += f", recall@10 {manifest.index_recall:.3f}"
    return [
        ("Version", manifest.version),
        ("Made", manifest.created),
        ("Stages", ", ".join(manifest.stages)),
        ("Items", items),
        *((_first_upper(match.title), match.result) for match in manifest.joins),
        ("Made with", f"Crosstower {manifest.crosstower}; {libraries}"),
        ("Git revision", manifest.git_revision or "none"),
        ("Size", f"{sum(f.bytes for f in manifest.files.values()) / 1e6:,.1f} MB"),
    ]


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _parts(manifest: Manifest) -> list[_Part]:
    found = {"retrieval": manifest.retrieval, "ranking": manifest.ranking}
    return [_part(_STAGES[name], facts) for name, facts in found.items() if facts is not None]


def _part(title: str, run: RunFacts) -> _Part:
    rows = ", ".join(f"{name} {count:,}" for name, count in run.rows.items())
    facts = [
        ("Run", run.name),
        ("Model", f"{run.model}, seed {run.seed}"),
        ("Trained", run.trained),
        ("Columns", _kinds(run.columns)),
        *([("Tasks", _kinds(run.tasks))] if run.tasks else []),
        ("Rows", rows),
        ("Fingerprint of the data", run.data[:12]),
        ("Weights", run.weights[:12]),
    ]
    return _Part(title, facts, _tables(run.metrics))


def _kinds(parts: Mapping[str, Any]) -> str:
    kinds = {n: p if isinstance(p, str) else p.get("kind", "") for n, p in parts.items()}
    return ", ".join(f"{name} ({kind})" for name, kind in kinds.items())


def _tables(metrics: Mapping[str, Any]) -> list[_Table]:
    """Return a table a task, and one of retrieval."""
    tables = [
        _table(f"Test metrics of {task}", models, names_of("binary", "regression", shown="card"))
        for task, models in metrics.get("tasks", {}).items()
    ]
    if "retrieval" in metrics:
        models = metrics["retrieval"]
        ks = {int(name.partition("@")[2]) for name in _names(models) if "@" in name}
        k = 10 if 10 in ks else max(ks, default=0)
        wanted = [f"{metric}@{k}" for metric in names_of("list", "catalogue", shown="card")]
        tables.append(_table("Test metrics, of the whole catalogue", models, wanted))
    return tables


def _table(title: str, models: Mapping[str, Any], wanted: Any) -> _Table:
    there = _names(models)
    shown = [name for name in wanted if name in there]
    rows = [[name, *(_cell(of.get(m)) for m in shown)] for name, of in models.items()]
    return _Table(title, ["", *(title_of(name) for name in shown)], rows)


def _names(models: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(metric for of in models.values() for metric in of))


def _cell(value: Any) -> str:
    if not isinstance(value, dict) or value.get("mean") is None:
        return "–"
    sd = f" ± {value['sd']:.4f}" if value.get("sd") else ""
    return f"{value['mean']:.4f}{sd}"


def _markdown(title: str, facts: list[tuple[str, str]], parts: list[_Part]) -> str:
    lines = [f"# {title}", "", *_listed(facts)]
    for part in parts:
        lines += ["", f"## {part.title}", "", *_listed(part.facts)]
        for table in part.tables:
            lines += ["", f"**{table.title}**", "", _row(table.columns)]
            lines.append(_row(["---"] * len(table.columns)))
            lines += [_row(row) for row in table.rows]
    return "\n".join(lines) + "\n"


def _listed(facts: list[tuple[str, str]]) -> list[str]:
    return [f"- {name}: {value}" for name, value in facts]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
