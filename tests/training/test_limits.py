import pytest

from crosstower.recipe.recipe import Training
from crosstower.training.checkpoint import Position
from crosstower.training.limits import is_over, limits_of


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
def test_new_limits_are_looked_at_anew(
    *, epoch: int, without_gain: int, epochs: int, patience: int, over: bool
) -> None:
    position = Position(epoch=epoch, epochs_without_gain=without_gain, finished=not over)
    assert is_over(position, Training(epochs=epochs, patience=patience)) is over


@pytest.mark.parametrize("finished", [True, False])
def test_under_the_same_limits_it_stays_as_it_was(*, finished: bool) -> None:
    """Such as a training that was ended by hand."""
    settings = Training(epochs=9, patience=5)
    position = Position(epoch=2, finished=finished, ended=finished, limits=limits_of(settings))
    assert is_over(position, settings) is finished
