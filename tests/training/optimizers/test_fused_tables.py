"""Fused tables get their rate before a step and their update after it."""

import pytest

from crosstower.recipe.training import Training
from crosstower.training.optimizers import set_learning_rates
from crosstower.training.optimizers.fused_tables import FusedTables


class Rows:
    def __init__(self) -> None:
        self.calls: list[float | str] = []

    def begin(self, rate: float) -> None:
        self.calls.append(rate)

    def update(self) -> None:
        self.calls.append("update")


def test_the_rate_of_the_schedule_comes_before_the_update() -> None:
    rows, settings = Rows(), Training(schedule="linear")
    optimizer = FusedTables([rows], lr=0.4)
    for step in range(2):
        set_learning_rates([optimizer], settings, step, 4)
        optimizer.zero_grad()
        optimizer.step()
    assert rows.calls == [0.4, "update", pytest.approx(0.3), "update"]


def test_it_takes_no_closure() -> None:
    with pytest.raises(NotImplementedError, match="closure"):
        FusedTables([], lr=0.1).step(lambda: 0.0)
