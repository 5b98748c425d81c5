"""Counts at the end of an event log as files, from which a server continues."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from crosstower.data.counters.counted_source import EventHistory
from crosstower.data.counters.window_counts import MAX_KEYS, WindowCounts
from crosstower.errors import RunError, first_line
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.frozen import FrozenModel
from crosstower.storage.documents import read_document

FOLDER, DOCUMENT, ARRAYS = "counters", "counters.json", "counts-{:03d}.npz"
"""Folder of a run, and its files."""


class _Count(FrozenModel):
    events: tuple[str, ...]
    by: tuple[str, ...]
    window: int
    delay: int


class _Document(FrozenModel):
    """`until` is in nanoseconds since 1970, null without events."""

    format: Literal[1] = 1
    until: int | None
    counts: tuple[_Count, ...]


@dataclass(frozen=True)
class CountsAtEnd:
    """The counts of a run at the end of its event logs.

    Args:
        until: end of the logs, in nanoseconds since 1970; None without events. Events up to it are
            counted, later ones are not.
        counts: by what they count.

    """

    until: int | None
    counts: Mapping[EventCount, WindowCounts]


def counts_at_end(history: EventHistory, max_keys: int = MAX_KEYS) -> CountsAtEnd:
    """Return the counts at the time of the last event, or now if that is earlier.

    Events from the future are left out: a server counts its own events after the end.

    Raises:
        DataError: a log cannot be read.

    """
    until = None if history.until is None else min(history.until, time.time_ns())
    counts = dict[EventCount, WindowCounts]()
    for count, whole in history.counts.items():
        counts[count] = WindowCounts(count, max_keys)
        if until is not None:
            counts[count].advance(until)
            keys, times = whole.since(count.start(until))
            counts[count].add(keys[times <= until], times[times <= until])
    return CountsAtEnd(until, counts)


def save_counts(found: CountsAtEnd, folder: Path) -> None:
    """Write counts into `folder`, which is made; the JSON document comes last."""
    folder.mkdir(parents=True)
    for place, counts in enumerate(found.counts.values()):
        arrays: dict[str, Any] = counts.arrays()
        np.savez_compressed(folder / ARRAYS.format(place), **arrays)
    given = tuple(
        _Count(events=c.events, by=c.by, window=c.window, delay=c.delay) for c in found.counts
    )
    document = _Document(until=found.until, counts=given)
    (folder / DOCUMENT).write_text(document.model_dump_json(indent=1), encoding="utf-8")


def load_counts(folder: Path, max_keys: int = MAX_KEYS) -> CountsAtEnd | None:
    """Read the files of `save_counts`; None if the folder does not exist.

    Raises:
        RunError: a file is missing or damaged.

    """
    if not folder.is_dir():
        return None
    again = "train the run again"
    document = read_document(folder / DOCUMENT, _Document, newest=1, error=RunError, again=again)
    counts = dict[EventCount, WindowCounts]()
    for place, found in enumerate(document.counts):
        path = folder / ARRAYS.format(place)
        count = EventCount(found.events, found.by, found.window, found.delay)
        try:
            counts[count] = WindowCounts.of_arrays(count, _arrays(path), max_keys)
        except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
            reason = first_line(error)
            raise RunError(f"{path}: damaged counts of events: {reason}; {again}") from error
    return CountsAtEnd(document.until, counts)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
