import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.rules.spacing import spaced_order
from crosstower.recipe.rule_kinds import Spacing


def by_the_book(relevance, columns, top):
    chosen: list[int] = []
    left = list(range(len(relevance)))

    def value(i: int) -> float:
        penalty = 0.0
        for rule, codes in columns:
            for place, j in enumerate(chosen):
                if codes[j] >= 0 and codes[j] == codes[i]:
                    distance = len(chosen) - place
                    penalty += rule.strength * 2 ** (-(distance - 1) / rule.half_distance)
        return relevance[i] - penalty

    while left and len(chosen) < top:
        best = max(left, key=lambda i: round(value(i), 12))
        chosen.append(best)
        left.remove(best)
    return chosen


@given(
    seed=st.integers(0, 9999),
    strength=st.sampled_from([0.1, 0.5, 2.0]),
    half=st.sampled_from([0.5, 2.0, 7.0]),
    top=st.integers(0, 9),
)
def test_the_list_is_that_of_the_formula(seed, strength, half, top):
    random = np.random.default_rng(seed)
    relevance = random.random(8)
    rules = [Spacing(column=c, strength=strength, half_distance=half) for c in "ab"]
    columns = [(rule, random.integers(-1, 3, 8)) for rule in rules]
    found = spaced_order(relevance, columns, top=top)
    assert found.tolist() == by_the_book(relevance, columns, top)


def test_a_strong_penalty_alternates_and_missing_values_are_free():
    rule = Spacing(column="a", strength=1, half_distance=1)
    relevance = np.linspace(1, 0.5, 6)
    mixed = spaced_order(relevance, [(rule, np.array([0, 0, 0, 1, 1, 1]))], top=6)
    assert np.array([0, 0, 0, 1, 1, 1])[mixed].tolist() == [0, 1, 0, 1, 0, 1]
    free = spaced_order(relevance, [(rule, np.full(6, -1))], top=6)
    assert free.tolist() == list(range(6))
