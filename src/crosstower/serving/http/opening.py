"""Open a bundle for service, and bring it up to date with the changes of items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from crosstower.errors import BundleError, CrosstowerError, ServeError
from crosstower.funnel.online.answer import FunnelRequest
from crosstower.funnel.online.live import Live
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.state.item_log import Change

_BROKEN = (
    pl.exceptions.PolarsError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)  # whatever parts say that do not belong together


def opened(path: Path) -> Live:
    """Open a bundle, compare its checksums, and warm it up with one request.

    Raises:
        BundleError: it is damaged, or cannot answer.

    """
    try:
        live = Live.open(Bundle.open(path))
        if live.funnel is not None:
            needed = dict.fromkeys(live.funnel.needed_columns)
            live.funnel.recommend(FunnelRequest(query=needed, k=1))
    except CrosstowerError:
        raise
    except _BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BundleError(
            f"{path}: cannot be served: {type(error).__name__}: {reason}; make the bundle again"
        ) from error
    return live


def apply_changes(live: Live, changes: list[Change], *, removed: bool) -> None:
    """Apply changes of one kind; a row that this bundle cannot read is left out."""
    catalogue = live.needs_funnel.catalogue
    if removed:
        catalogue.delete([change.id for change in changes])
        return
    rows = [change.row for change in changes if change.row is not None]
    try:
        catalogue.put(rows)
    except ServeError:
        raise
    except CrosstowerError:
        for row in rows:
            _apply_one(live, row)


def _apply_one(live: Live, row: Mapping[str, object]) -> None:
    try:
        live.needs_funnel.catalogue.put([row])
    except CrosstowerError:  # accepted by an earlier bundle, whose items had other columns
        return
