"""Spending of campaigns, shared by the workers through the state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from crosstower.blending.rules.pacing import Charge, Ledger
from crosstower.serving.state.state import State

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs work in the thread of the live bundle."""

Refund = tuple[list[Charge], frozenset[str]]
"""Charges of a list to take back, and the campaigns that the list shows nevertheless."""


class Spending:
    """The ledger of a worker, and its way to the other workers and past a restart.

    Args:
        state: of the server.

    """

    def __init__(self, state: State) -> None:
        self._state, self.ledger = state, Ledger()
        self.ledger.load(state.spend(()))

    def refund(self, refunds: Sequence[Refund]) -> None:
        """Take back charges, each of one list, in the thread of the live bundle."""
        for charges, shown in refunds:
            self.ledger.refund(charges, shown=shown)

    async def share(self, in_thread: InThread) -> None:
        """Add the charges of this worker to the state, and take the totals of all.

        Raises:
            ServeError: the disk is full or broken; the charges are kept for the next time.

        """
        charges = await in_thread(self.ledger.unsaved)
        totals = await asyncio.to_thread(self._state.spend, charges)
        await in_thread(lambda: self.ledger.load(totals, saved=charges))
