"""The model card of a bundle, in Markdown and HTML, from only its manifest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crosstower.evaluation.metrics.registry import names_of, title_of
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.content import ModelMetrics
from crosstower.evaluation.reports.page import (
    Block,
    Facts,
    Section,
    Table,
    Text,
    metrics_table,
    render_page,
    write_page,
)
from crosstower.serving.bundle.manifest import BundleManifest, RunFacts


def write_cards(folder: Path, manifest: BundleManifest) -> None:
    """Write card.md and card.html into a folder."""
    title = f"Model card: {manifest.name}"
    sections = list(_sections(manifest))
    (folder / "card.md").write_text(_markdown(title, sections), encoding="utf-8")
    lead = f"{manifest.created} · {' and '.join(manifest.stages)}"
    write_page(folder / "card.html", render_page("Crosstower bundle", title, lead, sections))


def _facts(manifest: BundleManifest) -> list[tuple[str, str]]:
    libraries = ", ".join(f"{n} {v}" for n, v in manifest.libraries.items())
    needed = manifest.needed_columns
    items = f"{manifest.items:,}, index: {manifest.index}" if manifest.index else "none"
    if manifest.index != "exact" and manifest.index_recall is not None:
        items += f", recall@10 {manifest.index_recall:.3f}"
    return [
        ("Version", manifest.version),
        ("Made", manifest.created),
        ("Stages", ", ".join(manifest.stages)),
        ("Items", items),
        *((_first_upper(match.title), match.result) for match in manifest.joins),
        *([("Columns of every query", ", ".join(needed))] if needed else []),
        ("Made with", f"Crosstower {manifest.crosstower}; {libraries}"),
        ("Git revision", manifest.git_revision or "none"),
        ("Size", f"{sum(f.bytes for f in manifest.files.values()) / 1e6:,.1f} MB"),
    ]


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _sections(manifest: BundleManifest) -> Iterator[Section]:
    yield Section("bundle", "Bundle", [Facts(_facts(manifest))])
    for name, run in (("Retrieval", manifest.retrieval), ("Ranking", manifest.ranking)):
        if run is not None:
            yield Section(name.lower(), name, [Facts(_run_facts(run)), *_tables(run.metrics)])


def _run_facts(run: RunFacts) -> list[tuple[str, str]]:
    rows = ", ".join(f"{name} {count:,}" for name, count in run.rows.items())
    return [
        ("Run", run.name),
        ("Model", f"{run.model}, seed {run.seed}"),
        ("Trained", run.trained),
        ("Columns", _kinds(run.columns)),
        *([("Tasks", _kinds(run.tasks))] if run.tasks else []),
        ("Rows", rows),
        ("Fingerprint of the data", run.data[:12]),
        ("Weights", run.weights[:12]),
    ]


def _kinds(parts: Mapping[str, Any]) -> str:
    kinds = {n: p if isinstance(p, str) else p.get("kind", "") for n, p in parts.items()}
    return ", ".join(f"{name} ({kind})" for name, kind in kinds.items())


def _tables(metrics: Mapping[str, Any]) -> Iterator[Block]:
    """Yield a table per task, and one of retrieval, each under its title."""
    for task, models in metrics.get("tasks", {}).items():
        wanted = names_of("binary", "regression", shown="card")
        yield from _table(f"Test metrics of {task}", _models(models), wanted)
    if "retrieval" in metrics:
        models = _models(metrics["retrieval"])
        ks = {int(m.partition("@")[2]) for model in models for m in model.metrics if "@" in m}
        k = 10 if 10 in ks else max(ks, default=0)
        wanted = [f"{metric}@{k}" for metric in names_of("list", "catalogue", shown="card")]
        yield from _table("Test metrics, of the whole catalogue", models, wanted)


def _models(metrics: Mapping[str, Any]) -> list[ModelMetrics]:
    """Return metrics as `metrics.json` of a run has them."""
    return [
        ModelMetrics(name, "baseline" if i else "model", {m: _summary(v) for m, v in of.items()})
        for i, (name, of) in enumerate(metrics.items())
    ]


def _summary(value: Mapping[str, float | None]) -> Summary:
    mean = value.get("mean")
    return Summary(math.nan if mean is None else mean, value.get("sd"))


def _table(title: str, models: Sequence[ModelMetrics], wanted: Sequence[str]) -> list[Block]:
    shown = {m: title_of(m) for m in wanted if any(m in model.metrics for model in models)}
    return [Text("heading", title), metrics_table(title, "", shown, models)]


def _markdown(title: str, sections: Sequence[Section]) -> str:
    lines = [f"# {title}"]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for block in section.blocks:
            lines += ["", *_lines(block)]
    return "\n".join(lines) + "\n"


def _lines(block: Block) -> list[str]:
    if isinstance(block, Table):
        return [_row(row) for row in (block.columns, ["---"] * len(block.columns), *block.rows)]
    if isinstance(block, Facts):
        return [f"- {name}: {value}" for name, value in block.items]
    return [f"**{block.text}**"] if isinstance(block, Text) else []


def _row(cells: Sequence[str]) -> str:
    shown = (cell.replace("|", "/").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(shown)} |"
