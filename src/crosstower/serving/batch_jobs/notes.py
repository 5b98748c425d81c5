"""Notes on scored rows, as counts that are added up over the parts of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from crosstower.data.counters.matches import CountMatch
from crosstower.data.sources.joins import JoinMatch
from crosstower.data.tally import Tally
from crosstower.ranking.predict import TypeStep, type_steps
from crosstower.ranking.ranker import Ranker

_MARK = "\t"
_ROWS, _LEFT_OUT, _COMPARED, _KNOWN = "rows", "left out", "compared", "known"
_SKIPPED, _VALUES, _UNSEEN, _JOIN, _COUNT, _TYPE = (
    *("skipped", "values", "unseen"),
    *("join", "count", "type"),
)


def counts_of(tally: Tally, steps: Sequence[TypeStep]) -> Counter[str]:
    """Return a tally as flat counts, which can be added up over parts."""
    found = Counter({_ROWS: tally.rows, _LEFT_OUT: tally.left_out})
    if tally.recognised is not None:
        found.update({_COMPARED: tally.recognised.compared, _KNOWN: tally.recognised.known})
    for kind, counts in (
        (_SKIPPED, tally.skipped),
        (_VALUES, tally.unseen.values),
        (_UNSEEN, tally.unseen.unseen),
    ):
        found.update({_MARK.join((kind, name)): count for name, count in counts.items()})
    found.update(_matches(tally))
    for step in steps:
        for kind, count in step.unseen.items():
            found[_MARK.join((_TYPE, step.name, *([] if kind is None else [kind])))] = count
    return found


def _matches(tally: Tally) -> dict[str, int]:
    """Return the rows with keys of joined tables, and with events."""
    found: dict[str, int] = {}
    for match in tally.joins:
        for what in ("rows", "found", "keyless"):
            found[_MARK.join((_JOIN, match.table, match.on, what))] = getattr(match, what)
    for match in tally.counts:
        for what in ("rows", "found"):
            found[_MARK.join((_COUNT, match.count.column, what))] = getattr(match, what)
    return found


def sentences_of(counts: Mapping[str, int], ranker: Ranker, *, blended: bool) -> list[str]:
    """Return the notes on the rows of all parts, equal to those of a single pass.

    Args:
        counts: of `counts_of`, added.
        ranker: that scored the rows.
        blended: whether it used its blend.

    """
    steps, tally = type_steps(ranker, blended), ranker.tally()
    tally.rows, tally.left_out = counts.get(_ROWS, 0), counts.get(_LEFT_OUT, 0)
    if tally.recognised is not None:
        tally.recognised.compared = counts.get(_COMPARED, 0)
        tally.recognised.known = counts.get(_KNOWN, 0)
    into = {_SKIPPED: tally.skipped, _VALUES: tally.unseen.values, _UNSEEN: tally.unseen.unseen}
    joins = dict[tuple[str, str], JoinMatch]()
    schema = ranker.run.recipe.schema_
    wanted = (*schema.counts(), *schema.event_lists())
    events = {count.column: CountMatch(count, 0, 0) for count in wanted}
    for key, number in counts.items():
        kind, *names = key.split(_MARK)
        if kind in into and names:
            into[kind][names[0]] = number
        elif kind == _JOIN:
            table, on, what = names
            empty = JoinMatch(table=table, on=on, rows=0, found=0, keyless=0)
            match = joins.get((table, on), empty)
            joins[table, on] = match.model_copy(update={what: number})
        elif kind == _COUNT:
            events[names[0]] = replace(events[names[0]], **{names[1]: number})
        elif kind == _TYPE:
            step = next(step for step in steps if step.name == names[0])
            step.unseen[names[1] if len(names) > 1 else None] = number
    tally.joins = tuple(joins.values())
    tally.counts = tuple(match for match in events.values() if match.rows)
    words = "; ".join(step.words(tally.rows) for step in steps if step.unseen)
    return [f"{sentence}." for sentence in ([words] if words else []) + tally.sentences()]
