import numpy as np
import pytest

from crosstower.blending.exploration.pool import DrawOptions, Pool
from crosstower.errors import RecipeError


def test_a_pool_counts_its_candidates():
    assert len(Pool(np.array([0.5, 0.2]), np.array([3, 0]))) == 2


@pytest.mark.parametrize("given", [{"top": 201}, {"top": 0}, {"seed": -1}])
def test_options_outside_their_range_are_refused(given):
    with pytest.raises(RecipeError, match=rf"DrawOptions\.{next(iter(given))}"):
        DrawOptions(**given)
