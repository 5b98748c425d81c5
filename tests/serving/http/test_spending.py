"""Budgets of campaigns over workers and restarts."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import ServeError
from crosstower.serving.http.spending import Spending
from crosstower.serving.state.state import State


async def at_once(work: Callable[[], Any]) -> Any:
    return work()


def charge(spending: Spending, cost: float) -> None:
    spending.ledger.left("ad", budget=100.0, period=1e12, now=0.0)
    spending.ledger.charge("ad", cost)


def test_workers_learn_of_one_anothers_charges_and_keep_them(home: str) -> None:
    with State.open(home) as state:
        one, two = Spending(state), Spending(state)
        charge(one, 3.0)
        charge(two, 4.0)
        for worker in (one, two, one):
            asyncio.run(worker.share(at_once))
        assert [worker.ledger.spent("ad") for worker in (one, two)] == [7.0, 7.0]
    with State.open(home) as state:
        assert Spending(state).ledger.spent("ad") == 7.0


def test_charges_that_cannot_be_stored_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with State.open(tmp_path) as state:
        worker = Spending(state)
        charge(worker, 3.0)

        def full(_: object) -> None:
            raise ServeError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(state, "spend", full)
            with pytest.raises(ServeError):
                asyncio.run(worker.share(at_once))
        asyncio.run(worker.share(at_once))
        assert state.spend(()) == [("ad", 0, 3.0)]
        asyncio.run(worker.share(at_once))
        assert worker.ledger.spent("ad") == 3.0
