import math

import pytest

from crosstower.recipe.training import Training
from crosstower.training.checkpoint import Position
from crosstower.training.early_stopping import improved, is_over, limits_of


@pytest.mark.parametrize(
    ("value", "best", "higher"),
    [(0.7, 0.6, True), (0.6, 0.7, False), (0.5, None, True), (0.5, math.nan, True)],
)
def test_a_better_value_is_an_improvement(value: float, best: float | None, higher: bool) -> None:
    assert improved(value, best, higher_is_better=higher)


def test_neither_an_equal_value_nor_nan_is_an_improvement() -> None:
    assert not improved(0.5, 0.5, higher_is_better=True)
    assert not improved(math.nan, 0.5, higher_is_better=True)
    assert improved(math.nan, None, higher_is_better=True)
    assert improved(None, 0.5, higher_is_better=True)


@pytest.mark.parametrize(
    ("epoch", "without_gain", "epochs", "patience", "over"),
    [
        (3, 0, 3, 2, True),
        (3, 0, 4, 2, False),
        (3, 0, 2, 2, True),
        (3, 2, 9, 2, True),
        (3, 2, 9, 3, False),
        (3, 2, 3, 3, True),
    ],
)
def test_new_limits_are_checked_again(
    *, epoch: int, without_gain: int, epochs: int, patience: int, over: bool
) -> None:
    position = Position(epoch=epoch, epochs_without_gain=without_gain, finished=not over)
    assert is_over(position, (epochs, patience)) is over


@pytest.mark.parametrize("finished", [True, False])
def test_under_the_same_limits_it_stays_as_it_was(*, finished: bool) -> None:
    """Such as a training that was ended by hand."""
    limits = limits_of(Training(epochs=9, patience=5))
    position = Position(epoch=2, finished=finished, ended=finished, limits=limits)
    assert is_over(position, limits) is finished
