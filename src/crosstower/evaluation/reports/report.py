"""The page about a run: its tasks or its retrieval, its training and its data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from crosstower.evaluation.metrics.registry import metrics_of, names_of, title_of
from crosstower.evaluation.metrics.tasks import HEADLINE_METRIC
from crosstower.evaluation.reports.content import (
    DataFacts,
    ModelMetrics,
    ReportContent,
    RetrievalReport,
    TaskReport,
)
from crosstower.evaluation.reports.page import (
    NOT_DEFINED,
    Block,
    Card,
    Facts,
    Items,
    Plot,
    Plots,
    Section,
    Table,
    Text,
    count,
    frame_table,
    metrics_table,
    number,
    render_page,
    seeds_note,
    signed,
    signed_percent,
    write_page,
)
from crosstower.evaluation.reports.plots import reliability_plot, training_plot
from crosstower.values.addresses.address import Place

_TITLES = {"slice": "Value", "rows": "Rows"}  # of columns that are not metrics
_RETRIEVAL_NOTE = (
    "Recall, hit rate, NDCG, MRR and MAP are means over the queries. Coverage is the share of the"
    " catalogue that is shown to anyone, popularity the mean number of training rows of the items"
    " shown, novelty the mean of −log₂ of an item's share of them. Settings of the baselines"
    " are chosen on the validation queries."
)


def write_report(path: Place, content: ReportContent) -> Place:
    """Write the page about a run as one HTML file and return its path.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(path, render_report(content))


def render_report(content: ReportContent) -> str:
    """Return the HTML of the page about a run; every value is escaped."""
    rows = count(sum(content.data.rows.values()))
    return render_page(
        kicker="Crosstower report",
        title=content.title,
        lead=f"{content.date} · {content.data.source} · {rows} rows",
        sections=_sections(content),
        cards=_cards(content),
    )


def _sections(content: ReportContent) -> Iterator[Section]:
    if content.retrieval is not None:
        yield _retrieval(content.retrieval, content)
    for i, task in enumerate(content.tasks):
        yield _task(task, content, f"task{i}")
    yield Section("training", "Training", _training_plots(content))
    yield _data(content.data)
    facts = [Facts(list(content.environment.items()))] if content.environment else []
    yield Section("environment", "Environment", facts)
    yield Section("recipe", "Recipe", [Text("source", content.recipe)])


def _cards(content: ReportContent) -> list[Card]:
    tasks = [
        _card(task.name, f"task{i}", HEADLINE_METRIC[task.kind], task.models)
        for i, task in enumerate(content.tasks)
    ]
    if (found := content.retrieval) is None:
        return tasks
    title = f"{found.queries:,} queries, {found.items:,} items"
    metrics = (f"recall@{found.headline}", f"ndcg@{found.headline}")
    return [*(_card(title, "retrieval", m, found.models) for m in metrics), *tasks]


def _card(title: str, section: str, metric: str, models: Sequence[ModelMetrics]) -> Card:
    return Card.of(title, section, metric, models, words=f"{title_of(metric)} of ")


def _task(task: TaskReport, content: ReportContent, name: str) -> Section:
    shown = names_of(task.kind, shown="report")
    columns = {c: title_of(c) for c in shown if c in task.models[0].metrics}
    model, plots = task.models[0].name, list(_task_plots(task, content, name))
    blocks: list[Block] = [
        Items("verdicts", task.verdicts),
        Text("heading", "Metrics"),
        metrics_table(f"Metrics of {task.name}", "Model", columns, task.models),
        Text("note", _metrics_note(task)),
        Text("heading", f"Lift of {model}"),
        _lift(task),
        *([Plots(plots)] if plots else []),
        *_effect(task),
        *_importance(task),
    ]
    for slices in task.slices:
        titles = [_TITLES.get(c) or title_of(c) for c in slices.table.columns]
        blocks.append(Text("heading", f"By {slices.column}"))
        blocks.append(frame_table(f"{task.name} by {slices.column}", titles, slices.table))
    if task.slices:
        words = f"Slices of {model}, first seed."
        words += " – is not defined: rows of one class only have no AUC."
        blocks.append(Text("note", words))
    return Section(name, task.name, blocks, f"{task.kind} · {task.rows:,} labelled test rows")


def _metrics_note(task: TaskReport) -> str:
    seeds = task.models[0].metrics[HEADLINE_METRIC[task.kind]].seeds
    words = f"Test rows. {seeds_note(seeds)} In the sentences above, ± and sd also count the"
    words += " sampling error of the test rows."
    if task.kind == "binary":
        words += " Log loss in nats; normalised entropy is log loss over that of the base rate,"
        words += " below 1 beats it, and a lift saves the same share of both; ECE in 15 bins of"
        words += " equal mass."
    return words


def _lift(task: TaskReport) -> Table:
    saved = [f"{title_of(metric)} saved" for metric in task.lifts[0].reductions]
    rows = [
        [
            lift.baseline,
            signed(lift.difference.value),
            number(lift.difference.noise),
            *map(signed_percent, lift.reductions.values()),
        ]
        for lift in task.lifts
    ]
    columns = ["Over", title_of(HEADLINE_METRIC[task.kind]), "sd of it", *saved]
    return Table(f"Lift over baselines, {task.name}", columns, rows)


def _effect(task: TaskReport) -> Iterator[Block]:
    if task.effect is None:
        return
    rows = [[title_of(m), number(a), number(b)] for m, (a, b) in task.effect.metrics.items()]
    yield Text("heading", "Calibration")
    yield Table(f"Calibration of {task.name}", ["Test rows", "Before", "After"], rows)
    if task.effect.by_type is not None:
        metric = title_of("ece" if task.kind == "binary" else "rmse")
        columns = ["Type", "Rows", f"{metric} before", "After"]
        yield frame_table(f"Calibration of {task.name} by type", columns, task.effect.by_type)
    words = f"Fitted to the validation rows, shown for {task.models[0].name}, first seed."
    yield Text("note", f"{words} The metrics above are those after calibration.")


def _importance(task: TaskReport) -> Iterator[Block]:
    found = task.importance
    if found is None:
        return
    title = title_of(found.metric)
    rows = [[name, _or_dash(signed, x), _or_dash(number, sd)] for name, x, sd in found.columns]
    yield Text("heading", "Importance of the columns")
    yield Table(f"Importance for {task.name}", ["Column", f"{title} lost", "sd"], rows)
    words = (
        f"By how much {title} of {found.rows:,} validation rows"
        f" ({_or_dash(number, found.value)}) becomes worse if the"
        f" values of a column are shuffled, mean and sd of {found.repeats} shuffles."
        f" {task.models[0].name}, first seed. Redundant columns share their importance."
    )
    if found.by_group:
        words += f" Shuffled among groups: {', '.join(found.by_group)}."
    yield Text("note", words)


def _or_dash(shown: Callable[[float], str], value: float | None) -> str:
    return NOT_DEFINED if value is None else shown(value)


def _retrieval(found: RetrievalReport, content: ReportContent) -> Section:
    blocks: list[Block] = []
    if found.relevant_counts is not None:
        blocks.append(Text("text", f"{found.relevant_counts.words()}."))
    blocks.append(Items("verdicts", found.verdicts))
    shown = names_of("list", "catalogue", shown="report")
    for k in found.ks:
        titles = {f"{metric}@{k}": title_of(metric) for metric in shown}
        blocks.append(Text("heading", f"The first {k}"))
        blocks.append(metrics_table(f"Metrics of the first {k}", "Model", titles, found.models))
    label = f"Recall in the first {found.headline} by {found.slices.column}"
    columns = ["Value", "Relevant items", *found.slices.table.columns[2:]]
    seeds = found.models[0].metrics[f"recall@{found.headline}"].seeds
    blocks += [
        Text("note", f"{seeds_note(seeds)} {_RETRIEVAL_NOTE}"),
        Text("heading", label),
        frame_table(label, columns, found.slices.table),
        Text(
            "note",
            "First seed. A slice counts only its own relevant items; – means there are none.",
        ),
        *_retrieval_plots(content),
    ]
    small = f"all {found.items:,} items ranked for {found.queries:,} test queries"
    return Section("retrieval", "Retrieval", blocks, small)


def _data(data: DataFacts) -> Section:
    rows = [
        [split, count(rows), *(number(r.get(split, math.nan)) for r in data.base_rates.values())]
        for split, rows in data.rows.items()
    ]
    columns = ["Split", "Rows", *(f"Mean {task}" for task in data.base_rates)]
    blocks: list[Block] = [
        Text("text", f"{data.source}, split {data.split}."),
        Table("Rows and mean labels by split", columns, rows),
        *([Items("notes", data.notes)] if data.notes else []),
    ]
    return Section("data", "Data", blocks)


def _task_plots(task: TaskReport, content: ReportContent, name: str) -> Iterator[Plot]:
    if task.calibration is not None:
        before = task.effect.before if task.effect is not None else None
        svg = reliability_plot(
            task.calibration, name=name, percent=task.kind == "binary", before=before
        )
        words = f"Observed against predicted in {len(task.calibration.curve.count)} bins of equal"
        words += " mass; on the dashed line predictions are right. Below: how often each is made."
        yield Plot("Calibration", words, svg)
    for metric in metrics_of(task.kind, shown="curve"):
        key = f"{task.name}.{metric.name}"
        if any(key in r["valid"] for t in content.trainings for r in t.history):
            svg = training_plot(content.trainings, key=key, name=f"{name}-{metric.name}")
            words = "Validation rows at each evaluation, one line per seed; the best is marked."
            yield Plot(f"{metric.heading} by epoch", words, svg)


def _training_plots(content: ReportContent) -> list[Block]:
    if not any(training.history for training in content.trainings):
        return []
    svg = training_plot(content.trainings, key=None, name="loss")
    together = ", all tasks together" if len(content.tasks) > 1 else ""
    words = f"Mean loss of the training rows between evaluations{together}, one line per seed."
    plots = [Plot("Training loss by epoch", words, svg)]
    if not content.tasks and content.retrieval is None:  # nothing was tested
        key = str(content.trainings[0].history[-1]["monitor"])
        svg = training_plot(content.trainings, key=key, name="monitor")
        words = "Validation rows at each evaluation, one line per seed; the best is marked."
        plots.append(Plot(f"{key} by epoch", words, svg))
    return [Plots(plots)]


def _retrieval_plots(content: ReportContent) -> list[Block]:
    if content.retrieval is None or not any(t.history for t in content.trainings):
        return []
    key = f"retrieval.ndcg@{content.retrieval.headline}"
    svg = training_plot(content.trainings, key=key, name="ndcg")
    words = "Validation queries at each evaluation, one line per seed; the best is marked."
    return [Plots([Plot(f"NDCG@{content.retrieval.headline} by epoch", words, svg)])]
