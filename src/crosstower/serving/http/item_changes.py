"""Changes of items: written to the state by any worker, applied by each to its open bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any

import numpy as np

from crosstower.errors import CrosstowerError, ServeError
from crosstower.funnel.online.catalogue import EncodedItems, OnlineCatalogue
from crosstower.serving.state.item_log import Change
from crosstower.serving.state.state import State
from crosstower.values.ids import Id


class ItemChanges:
    """Writes items and applies them.

    Items that this worker has written are applied as encoded when they were checked. Items of other
    workers are read from the state and encoded here.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        # By number of the first change: the last change, the catalogue, the encoded items.
        self._own: dict[int, tuple[int, OnlineCatalogue, EncodedItems]] = {}

    def put(
        self, catalogue: OnlineCatalogue, rows: Sequence[dict[str, Any]], items: EncodedItems
    ) -> int:
        """Write whole rows, encoded by a catalogue; return the number of the last change.

        Raises:
            DataError: a row has no id or a value without a JSON form; nothing is kept.
            ServeError: the disk is full or broken.

        """
        last = self._state.put_items(rows, item=catalogue.id_column)
        self._own[last - len(rows) + 1] = last, catalogue, items
        return last

    def apply(
        self, catalogue: OnlineCatalogue | None, applied: int, newest: int, *, weights: str
    ) -> int:
        """Apply changes to a catalogue; without one they are only counted.

        Args:
            catalogue: of the open bundle.
            applied: number of the last change that it has.
            newest: number of the newest change.
            weights: SHA-256 of the catalogue's model; vectors of others are left out.

        Returns:
            The number of the last change that it has now.

        """
        applied = self._apply_own(catalogue, applied)
        if newest > applied:
            changes = self._state.changes_after(applied)
            for kind, group in groupby(changes, key=_kind):
                many = list(group)
                applied = many[-1].sequence
                if catalogue is not None:
                    _apply(catalogue, many, kind, weights)
        for first in [first for first in list(self._own) if first <= applied]:
            self._own.pop(first, None)
        return applied

    def apply_vectors(
        self, catalogue: OnlineCatalogue | None, applied: int, *, weights: str
    ) -> None:
        """Apply the vectors up to a number to a catalogue that was built with all other changes.

        Args:
            catalogue: of the open bundle.
            applied: number of the last change that the bundle was built with.
            weights: SHA-256 of the catalogue's model.

        """
        found: dict[Id, Change] = {}
        if catalogue is None or not applied:
            return
        for change in takewhile(lambda c: c.sequence <= applied, self._state.changes_after(0)):
            if change.vector is None:
                found.pop(change.id, None)
            elif change.vector.weights == weights:
                found[change.id] = change
        _apply_vectors(catalogue, list(found.values()), weights)

    def _apply_own(self, catalogue: OnlineCatalogue | None, applied: int) -> int:
        """Apply the next changes that this worker has written, as encoded."""
        while (found := self._own.get(applied + 1)) is not None and found[1] is catalogue:
            applied, items = found[0], found[2]
            found[1].put(items)
        return applied


def _kind(change: Change) -> str:
    if change.vector is not None:
        return "vector"
    return "deletion" if change.row is None else "row"


def _apply_vectors(catalogue: OnlineCatalogue, changes: Sequence[Change], weights: str) -> None:
    """Apply vectors of the catalogue's model, of each item the last one."""
    found: dict[Id, bytes] = {}
    size = 4 * catalogue.retriever.model.dim
    for change in changes:
        new = change.vector
        if new is not None and new.weights == weights and len(new.values) == size:
            found[change.id] = new.values
    if found:
        flat = np.frombuffer(b"".join(found.values()), dtype="<f4").astype(np.float32)
        catalogue.put_vectors(list(found), flat.reshape(len(found), -1))


def _apply(catalogue: OnlineCatalogue, changes: Sequence[Change], kind: str, weights: str) -> None:
    """Apply changes of one kind; a row that this bundle cannot read is left out.

    Columns that only the items of other bundles have are not read.
    """
    if kind == "vector":
        _apply_vectors(catalogue, changes, weights)
        return
    if kind == "deletion":
        catalogue.delete([change.id for change in changes])
        return
    known = {catalogue.id_column, *catalogue.items.schema}
    rows = [
        {name: value for name, value in change.row.items() if name in known}
        for change in changes
        if change.row is not None
    ]
    try:
        catalogue.put(catalogue.encode(rows))
    except ServeError:
        raise
    except CrosstowerError:
        for row in rows:
            _apply_one(catalogue, row)


def _apply_one(catalogue: OnlineCatalogue, row: Mapping[str, Any]) -> None:
    try:
        catalogue.put(catalogue.encode([row]))
    except CrosstowerError:  # accepted by an earlier bundle, whose items had other columns
        return
