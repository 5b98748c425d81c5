from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.rules.placement import Cap, Demands, Placed, Reserved, place


def over(rows, cap: Cap) -> bool:
    """Whether a list has more than `most` equal codes in some window."""
    codes = [int(cap.codes[row]) for row in rows]
    for start in range(len(codes)):
        window = [code for code in codes[start : start + cap.within] if code >= 0]
        if any(window.count(code) > cap.most for code in window):
            return True
    return False


def brute(count: int, top: int, demands: Demands) -> list[int] | None:
    """The first list that keeps all caps, by preference at the first place, the second, ..."""

    def worth(rows) -> list:
        keys = []
        for at, row in enumerate(rows):
            groups = [s.fits[row] for s in demands.reserved if at in s.places]
            keys.append((groups.index(True) if True in groups else len(groups), row))
        return keys

    def allowed(rows) -> bool:
        for at, row in enumerate(rows):
            reserved = any(at in s.places and s.fits[row] for s in demands.reserved)
            barred = demands.barred is not None and demands.barred[row] and not reserved
            if demands.pins.get(at, row) != row or (barred and at not in demands.pins):
                return False
            if row in demands.pins.values() and demands.pins.get(at) != row:
                return False
        return not any(over(rows, cap) for cap in demands.caps)

    lists = [rows for rows in permutations(range(count), top) if allowed(rows)]
    return list(min(lists, key=worth)) if lists else None


def demands_of(seed: int, count: int, top: int) -> Demands:
    random = np.random.default_rng(seed)
    caps = [
        Cap(random.integers(-1, 3, count), int(random.integers(1, 3)), int(random.integers(2, 5)))
        for _ in range(random.integers(0, 3))
    ]
    fits = random.random(count) < 0.4
    reserved = [Reserved(range(int(random.integers(0, 3)), top, 2), fits)]
    pins = {int(random.integers(0, top)): int(random.integers(0, count))}
    return Demands(
        caps=caps,
        reserved=reserved if random.random() < 0.5 else [],
        barred=fits if random.random() < 0.3 else None,
        pins=pins if random.random() < 0.5 else {},
    )


@given(seed=st.integers(0, 99_999), top=st.integers(1, 5))
def test_the_list_is_the_best_of_brute_force(seed, top):
    demands = demands_of(seed, 6, top)
    found, wanted = place(6, top, demands), brute(6, top, demands)
    rows = found.rows.tolist()
    assert len(set(rows)) == len(rows) <= top
    if wanted is not None:
        assert rows == wanted
        assert not any(found.over)
    else:  # pins hold nevertheless, and each broken cap is counted
        barred = demands.barred if demands.barred is not None else np.zeros(6, bool)
        counted = zip(found.over, demands.caps, strict=True)
        assert all((number > 0) == over(rows, cap) for number, cap in counted)
        if not barred.any():
            assert len(rows) == top
            assert all(rows[at] == row for at, row in demands.pins.items())


def test_without_demands_the_order_stays():
    assert place(5, 3, Demands()) == Placed(pytest.approx(np.arange(3)), ())


def test_a_dead_end_of_the_plain_greedy_list_is_avoided():
    # B B A A A by score: greedy ends with A A, although A B A B A keeps the cap.
    cap = Cap(np.array([1, 1, 0, 0, 0]), most=1, within=2)
    found = place(5, 5, Demands([cap]))
    assert found.rows.tolist() == [2, 0, 3, 1, 4]
    assert found.over == (0,)


def test_caps_that_cannot_hold_are_exceeded_as_late_as_possible():
    found = place(4, 4, Demands([Cap(np.array([0, 0, 0, 1]), most=1, within=4)]))
    assert found.rows.tolist() == [0, 3, 1, 2]
    assert found.over == (2,)


def test_a_cap_counts_a_pin_further_down():
    cap = Cap(np.array([0, 1, 0, 2]), most=1, within=2)
    assert place(4, 3, Demands([cap], pins={2: 2})).rows.tolist() == [0, 1, 2]
    assert place(4, 2, Demands([cap], pins={1: 2})).rows.tolist() == [1, 2]


def test_reserved_places_hold_their_candidates_and_others_where_there_are_none():
    ads = np.array([False, False, False, True, True])
    slots = [Reserved(range(1, 5, 2), ads)]
    assert place(5, 4, Demands(reserved=slots)).rows.tolist() == [0, 3, 1, 4]
    assert place(5, 5, Demands(reserved=slots, barred=ads)).rows.tolist() == [0, 3, 1, 4, 2]
    none = [Reserved(range(1, 5, 2), ads & False)]
    assert place(5, 5, Demands(reserved=none, barred=ads)).rows.tolist() == [0, 1, 2]


def test_a_hopeless_search_ends():
    """Many values of which none fits: the search is bounded and the list is full."""
    codes = np.repeat(np.arange(10), 6)
    caps = [Cap(codes, 1, 7), Cap(np.tile(np.arange(6), 10), 1, 7)]
    found = place(60, 40, Demands(caps))
    assert len(set(found.rows.tolist())) == 40
    assert sum(found.over) > 0
