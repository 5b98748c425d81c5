"""Open a bundle for service."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crosstower.blending.rules.pacing import Ledger
from crosstower.errors import BundleError, CrosstowerError, first_line
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.bundle.live import Live

_BROKEN = (
    pl.exceptions.PolarsError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)  # errors of parts that do not belong together


def opened(path: Path, ledger: Ledger | None = None) -> Live:
    """Open a bundle, compare its checksums, and warm it up with one request.

    Args:
        path: of the bundle.
        ledger: spending of the campaigns of rules so far.

    Raises:
        BundleError: it is damaged, or cannot serve a request.

    """
    try:
        live = Live.open(Bundle.open(path), ledger)
        if live.funnel is not None:
            needed = dict.fromkeys(live.funnel.needed_columns)
            live.funnel.recommend(FunnelRequest(query=needed, k=1, explain=True))
    except CrosstowerError:
        raise
    except _BROKEN as error:
        reason = first_line(error)
        raise BundleError(
            f"{path}: cannot be served: {type(error).__name__}: {reason}; make the bundle again"
        ) from error
    return live
