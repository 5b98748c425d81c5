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


def drawn_by(kind, seed=0):
    return explore(kind, SCORE, ROWS, np.random.default_rng(seed))


def test_only_the_pool_changes_places_and_what_follows_is_certain(kind):
    for seed in range(30):
        drawn = drawn_by(kind, seed)
        assert sorted(drawn.order[:6]) == list(range(6))
        assert drawn.order[6:].tolist() == list(range(6, 12))
    assert drawn.propensities(np.array([7, 12])).tolist() == [1.0, 1.0]


def test_propensities_are_those_of_the_drawn_items_at_their_ranks(kind):
    drawn, ranks = drawn_by(kind, 5), np.array([4, 1, 8, 2])  # as rules have reordered them
    chances = kind.chances(Pool(SCORE[:6], ROWS[:6]), np.arange(6), 6)
    expected = [chances[drawn.order[rank - 1], rank - 1] if rank <= 6 else 1.0 for rank in ranks]
    np.testing.assert_allclose(drawn.propensities(ranks), expected, rtol=1e-12)


def test_given_nothing_above_it_the_first_rank_has_one_propensity(kind):
    drawn = drawn_by(kind, 2)
    found = drawn.conditionals(np.array([1, 9]))
    if kind.kind == "thompson":
        assert found is None
    else:
        assert found == pytest.approx([drawn.propensities(np.array([1]))[0], 1.0], rel=1e-9)


def test_a_seed_fixes_the_draw_and_its_absence_does_not(kind):
    seeded = kind.model_copy(update={"seed": 4})
    assert len({tuple(drawn_by(seeded, seed).order) for seed in range(5)}) == 1
    assert len({tuple(drawn_by(kind, seed).order) for seed in range(30)}) > 1


@pytest.mark.parametrize("count", [0, 1])
def test_no_candidates_and_one(kind, count):
    drawn = explore(kind, SCORE[:count], ROWS[:count], np.random.default_rng(0))
    assert drawn.order.tolist() == list(range(count))
    assert drawn.propensities(np.arange(1, count + 1)) == pytest.approx(np.ones(count))


def test_the_kind_chooses_the_options():
    adapter = TypeAdapter(Exploration)
    assert adapter.validate_python({"kind": "epsilon", "epsilon": 0.1}) == Epsilon(epsilon=0.1)
    with pytest.raises(ValidationError, match="'plackett_luce', 'epsilon', 'thompson'"):
        adapter.validate_python({"kind": "softmax"})
