"""Columns that a request gets from a joined table, by a key of its query."""

from __future__ import annotations

from typing import Any

from crosstower.data.layout import RESERVED_CODES, UNSEEN
from crosstower.data.sources.joins import JoinedSource
from crosstower.values.codes import Vocabulary
from crosstower.values.columns import to_ids
from crosstower.values.ids import id_of


class QueryTable:
    """A joined table whose key comes with the query."""

    def __init__(self, joined: JoinedSource) -> None:
        self.on = joined.on
        ids = to_ids(joined.on, joined.table[joined.on])
        order = ids.arg_sort(nulls_last=True)[: len(ids) - ids.null_count()]
        self._keys, self._rows = Vocabulary(ids[order]), joined.table[order].drop(joined.on)

    def columns_of(self, key: Any) -> dict[str, Any]:
        """Return the columns of a key; all are missing for an unknown key.

        Raises:
            DataError: it cannot be a key.

        """
        known = id_of(key)
        code = UNSEEN if known is None else self._keys.code_of(known)
        if code == UNSEEN:
            return dict.fromkeys(self._rows.columns)
        return self._rows.row(code - RESERVED_CODES, named=True)
