"""Which events give which labels, and which are positives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from crosstower.data.filters.filter import filter_columns
from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tasks import Binary
from crosstower.serving.retraining.plan import Label, Labels


def label_columns(
    ranking: Recipe | None, retrieval: Recipe | None, labels: Labels
) -> dict[str, Label]:
    """Return the events of each label column: those of the plan, and of the tasks by name.

    Raises:
        RecipeError: the plan names a column that no recipe reads, or a task has labels that events
            cannot give.

    """
    found = dict[str, Label]()
    tasks = {} if ranking is None else ranking.schema_.tasks
    for name, task in tasks.items():
        valued = not isinstance(task, Binary) or task.threshold is not None
        found[task.column or name] = Label(event=name, value=valued)
        if isinstance(task, Binary) and task.positive not in (None, 1, True, 1.0):
            raise RecipeError(
                f"task '{name}': its positive label is {task.positive!r}, but events give 1 or 0;"
                " write the base rows with 1 and 0, and drop positive"
            )
    where = None if retrieval is None or retrieval.retrieval is None else retrieval.retrieval.where
    allowed = list(dict.fromkeys([*found, *filter_columns(where or "True")]))
    for column in labels.tasks:
        if column not in allowed:
            raise RecipeError(
                f"labels.tasks.{column}: no task of the ranking recipe reads this column, nor does"
                f" retrieval.where{did_you_mean(column, allowed)}; they read:"
                f" {', '.join(allowed) or 'none'}"
            )
    return {**found, **labels.tasks}


def positive_types(retrieval: Recipe | None, labels: Labels) -> tuple[str, ...]:
    """Return the types of events that are positives; none if `retrieval.where` selects them.

    Raises:
        RecipeError: neither the plan nor the recipe names them.

    """
    if retrieval is None or retrieval.retrieval is None:
        return ()
    section = retrieval.retrieval
    if labels.positives and section.where is not None:
        raise RecipeError(
            f"labels.positives: the retrieval recipe has where: {section.where!r}, which selects"
            " the positives by their labels; drop labels.positives"
        )
    if labels.positives or section.where is not None:
        return labels.positives
    if not section.history.events:
        raise RecipeError(
            "labels.positives: missing; the retrieval recipe has no where, so all of its base rows"
            " are positives, but not all impressions are: name the types of events that are, such"
            " as positives: [click]"
        )
    return section.history.events


def lost_notes(
    retrieval: Recipe | None, tasks: Mapping[str, Label], positives: Sequence[str]
) -> tuple[str, ...]:
    """Return a sentence per type of events that extend live histories, but make no positives."""
    if retrieval is None or retrieval.retrieval is None:
        return ()
    kept = {*positives, *(label.event for label in tasks.values())}
    return tuple(
        f"events of type '{kind}' extend the histories of a server, but label nothing: a new"
        " version forgets those before its last positive; name them in labels.tasks or"
        " labels.positives"
        for kind in retrieval.retrieval.history.events
        if kind not in kept
    )


def absent_notes(
    read: Sequence[EventCount | EventList], tasks: Mapping[str, Label], sent: Collection[str]
) -> tuple[str, ...]:
    """Return a sentence per type of events that the ranker reads, but no event has.

    Args:
        read: counts and histories of the ranker.
        tasks: labels by column.
        sent: types of the events of the server.

    """
    notes = list[str]()
    for kind in dict.fromkeys(kind for one in read for kind in one.events):
        if kind in sent:
            continue
        label = tasks.get(kind)
        other = "" if label is None else f" (the label '{kind}' comes from type '{label.event}')"
        notes.append(
            f"the server has no events of type '{kind}', which counters or histories of the ranker"
            f" read; send events of that type{other}"
        )
    return tuple(notes)
