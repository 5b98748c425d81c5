"""One thing that was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]
"""A note limits the possible commands; a problem stops work."""


@dataclass(frozen=True)
class CheckResult:
    """One check: its subject, its result, and its remedy.

    Args:
        check: name of the thing.
        status: whether it is in order.
        found: description of its state.
        remedy: a command or an action; empty if there is nothing to do.
        purpose: of an extra; empty for other things.

    """

    check: str
    status: Status
    found: str
    remedy: str = ""
    purpose: str = ""
