import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.blending.exploration.explore import Exploration, explore
from crosstower.blending.exploration.plackett_luce import PlackettLuce
from crosstower.blending.exploration.pool import Pool
from crosstower.blending.exploration.thompson import Thompson

SCORE, ROWS = np.linspace(1.0, 0.0, 12), np.arange(12) * 5
KINDS = [
    PlackettLuce(temperature=0.2, top=6),
    Epsilon(epsilon=0.3, top=6),
    Thompson(prior_sd=0.2, noise_sd=1.0, top=6),
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind)
def kind(request):
    return request.param


def test_only_the_pool_changes_places_and_what_follows_is_certain(kind):
    for seed in range(30):
        drawn = explore(kind, SCORE, ROWS, 9, np.random.default_rng(seed))
        assert sorted(drawn.order[:6]) == list(range(6))
        assert drawn.order[6:].tolist() == list(range(6, 12))
        assert (drawn.pool, drawn.propensity[6:].tolist()) == (6, [1.0, 1.0, 1.0])


def test_propensities_are_those_of_the_drawn_items_at_their_ranks(kind):
    drawn, pool = explore(kind, SCORE, ROWS, 4, np.random.default_rng(5)), Pool(SCORE[:6], ROWS[:6])
    chances = kind.chances(pool, np.arange(6), 4)
    np.testing.assert_allclose(drawn.propensity, chances[drawn.order[:4], range(4)], rtol=1e-12)


def test_the_first_rank_has_one_propensity_with_nothing_above_it(kind):
    drawn = explore(kind, SCORE, ROWS, 3, np.random.default_rng(2))
    if kind.kind == "thompson":
        assert drawn.conditional is None
    else:
        assert drawn.conditional[0] == pytest.approx(drawn.propensity[0], rel=1e-9)


def test_a_seed_fixes_the_draw_and_its_absence_does_not(kind):
    seeded, random = kind.model_copy(update={"seed": 4}), np.random.default_rng(0)
    orders = {tuple(explore(seeded, SCORE, ROWS, 3, random).order) for _ in range(5)}
    assert len(orders) == 1
    assert len({tuple(explore(kind, SCORE, ROWS, 3, random).order) for _ in range(30)}) > 1


@pytest.mark.parametrize("count", [0, 1])
def test_no_candidates_and_one(kind, count):
    drawn = explore(kind, SCORE[:count], ROWS[:count], count, np.random.default_rng(0))
    assert drawn.order.tolist() == list(range(count))
    assert drawn.propensity == pytest.approx(np.ones(count))


def test_the_kind_chooses_the_options():
    adapter = TypeAdapter(Exploration)
    assert adapter.validate_python({"kind": "epsilon", "epsilon": 0.1}) == Epsilon(epsilon=0.1)
    with pytest.raises(ValidationError, match="'plackett_luce', 'epsilon', 'thompson'"):
        adapter.validate_python({"kind": "softmax"})
