import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.training import Training


def test_an_epoch_has_a_hundred_steps_where_it_can() -> None:
    training = Training()
    for rows in (1, 2_700, 12_799, 12_800, 25_600, 99_999, 10**8):
        for smallest in (32, 128):
            size = training.batch_size_for(rows, smallest=smallest)
            assert smallest <= size <= 1024
            assert rows / size >= 100 or size == smallest
            assert rows / size < 201 or size in (smallest, 1024)
    assert training.model_copy(update={"batch_size": 7}).batch_size_for(10**8) == 7


def test_a_refit_needs_whole_epochs() -> None:
    with pytest.raises(RecipeError, match=r"refit: trains for.*evaluate_every \(100\).*drop one"):
        Training(refit=True, evaluate_every=100)
