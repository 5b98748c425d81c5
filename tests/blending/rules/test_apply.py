import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.rules.apply import apply_rules
from crosstower.blending.rules.attributes import RuleRows
from crosstower.blending.rules.pacing import Ledger
from crosstower.errors import QueryError
from crosstower.recipe.rules import Rules

NOW = 1_790_000_000.0


def candidates(seed: int, count: int = 24) -> tuple[RuleRows, np.ndarray, np.ndarray, pl.DataFrame]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pl.DataFrame(
        {
            "seller": random.choice(["a", "b", "c", "d", None], count).tolist(),
            "ad": random.random(count) < 0.3,
            "bid": random.random(count),
            "age": NOW - random.random(count) * 1e6,
            "brand": random.choice(["x", "y"], count).tolist(),
        }
    )
    score = random.normal(size=count)
    rows = RuleRows.of_table(table, ids=range(count), vectors=lambda: vectors)
    return rows, np.argsort(-score), score, table


ALL = {
    "exclude": "bid > 0.9",
    "boost": {"where": "ad", "add": 0.5},
    "bury": {"where": "seller == 'a'", "divide": 2},
    "freshness": {"column": "age", "half_life": "3d"},
    "dedup_by": "bid",
    "mmr": {"relevance": 0.6},
    "spacing": {"column": "seller", "strength": 0.2},
    "max_per": {"column": "seller", "most": 2, "within": 5},
    "slots": {"where": "ad", "every": 3},
    "pin": {"item": 3, "at": 2},
}


@given(seed=st.integers(0, 9999), kinds=st.sets(st.sampled_from(sorted(ALL))))
def test_a_list_is_a_subset_without_repeats_and_explains_itself(seed, kinds):
    rows, order, score, _ = candidates(seed)
    rules = Rules(**{kind: ALL[kind] for kind in kinds})
    plain = apply_rules(rules, rows, order, score, k=9, now=NOW)
    told = apply_rules(rules, rows, order, score, k=9, now=NOW, explain=True)
    np.testing.assert_array_equal(plain.rows, told.rows)
    assert len(set(told.rows.tolist())) == len(told.rows)
    assert len(told.rows) + sum(told.removed.values()) == rows.count
    # The moves of a row sum to its whole way, but for the rows that were taken out above it.
    before = {int(row): place for place, row in enumerate(order)}
    whole = np.array([before[int(row)] for row in told.rows]) - np.arange(len(told.rows))
    moves = sum(told.moves.values(), np.zeros(len(told.rows), dtype=np.int64))
    np.testing.assert_array_equal(moves, whole)


@given(seed=st.integers(0, 9999))
def test_no_rules_change_nothing(seed):
    rows, order, score, _ = candidates(seed)
    found = apply_rules(Rules(), rows, order, score, k=9, explain=True)
    np.testing.assert_array_equal(found.rows, order)
    assert (found.score, found.notices, dict(found.moves)) == (None, (), {})


def test_filters_are_hard_and_say_when_nothing_is_left():
    rows, order, score, table = candidates(1)
    found = apply_rules(Rules(require="ad", exclude="bid > 0.5"), rows, order, score, k=9)
    kept = table["ad"].to_numpy() & (table["bid"].to_numpy() <= 0.5)
    assert found.rows.tolist() == [row for row in order.tolist() if kept[row]]
    nothing = apply_rules(
        Rules(require="bid > 2", pin={"item": 1, "at": 1}), rows, order, score, k=9
    )
    assert len(nothing.rows) == 0
    assert [notice.split(":")[0] for notice in nothing.notices] == [
        "rules.require[0]",
        "rules.pin[0]",
    ]


def test_scores_change_in_order_and_sort_the_list():
    rows, order, score, table = candidates(2)
    found = apply_rules(
        Rules(boost={"where": "ad", "multiply": 3}, bury={"where": "bid > 0.5", "subtract": 1}),
        rows, order, score, k=9,
    )  # fmt: skip
    wanted = np.where(table["ad"].to_numpy(), np.where(score < 0, score / 3, score * 3), score)
    wanted = wanted - (table["bid"].to_numpy() > 0.5)
    np.testing.assert_allclose(found.score, wanted)
    assert found.rows.tolist() == np.argsort(-wanted, kind="stable").tolist()


def test_only_the_best_of_equal_values_is_kept_and_missing_ones_are_not_equal():
    table = pl.DataFrame({"title": ["a", "b", "a", None, None, "b"]})
    rows = RuleRows.of_table(table)
    found = apply_rules(
        Rules(dedup_by="title"), rows, np.arange(6), -np.arange(6.0), k=3, explain=True
    )
    assert found.rows.tolist() == [0, 1, 3, 4]
    assert found.removed == {"dedup_by[0]": 2}


@given(seed=st.integers(0, 9999), share=st.sampled_from([0.0, 0.4, 0.8, 1.0]))
def test_mmr_over_vectors_is_that_of_the_formula(seed, share):
    rows, order, score, _ = candidates(seed, 9)
    vectors = rows.vectors().astype(np.float64)
    relevance = (score - score.min()) / (score.max() - score.min())
    chosen, left = [], order.tolist()
    while left and len(chosen) < 5:
        nearest = [
            max(((1 + vectors[i] @ vectors[j]) / 2 for j in chosen), default=0.0) for i in left
        ]
        value = share * relevance[left] - (1 - share) * np.array(nearest)
        chosen.append(left.pop(int(np.argmax(np.round(value, 6)))))
    found = apply_rules(Rules(mmr={"relevance": share}), rows, order, score, k=5)
    assert found.rows.tolist() == chosen + left


def test_a_list_that_was_reordered_before_keeps_that_order():
    """Exploration or diversity has put the last candidate first; a pin must not undo that."""
    rows, order, score, _ = candidates(3)
    drawn = np.concatenate([order[-1:], order[:-1]])
    rules = Rules(
        pin={"item": int(order[5]), "at": 3}, spacing={"column": "brand", "strength": 1e-9}
    )
    found = apply_rules(rules, rows, drawn, score, k=9).rows.tolist()
    assert found[0] == order[-1]
    assert found[2] == order[5]
    assert [r for r in found if r != order[5]] == [r for r in drawn.tolist() if r != order[5]]


def test_slots_hold_candidates_at_their_floor_and_caps_and_pins_count():
    rows, order, score, table = candidates(4, 60)
    rules = Rules(
        slots={
            "where": "ad",
            "every": 4,
            "elsewhere": False,
            "floor": {"column": "bid", "at_least": 0.3},
        },
        max_per={"column": "seller", "most": 2, "within": 6},
        pin={"item": 11, "at": 1},
    )
    found = apply_rules(rules, rows, order, score, k=20)
    first = found.rows[:20]
    ads = table["ad"].to_numpy()
    assert first[0] == 11
    bids = table["bid"].to_numpy()
    for at, row in enumerate(first.tolist(), 1):
        if at > 1:
            assert ads[row] == (at % 4 == 0)
        if at % 4 == 0:
            assert bids[row] >= 0.3
    assert not set(found.rows[20:].tolist()) & set(np.flatnonzero(ads).tolist())
    sellers = [table["seller"][int(row)] for row in first]
    for start in range(15):
        window = [s for s in sellers[start : start + 6] if s is not None]
        assert max(window.count(s) for s in window) <= 2
    assert found.notices == ()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"pin": {"item": 99, "at": 1}}, r"pin\[0\]: item 99 is not in the list"),
        (
            {"pin": {"item": 5, "at": 50}},
            r"pin\[0\]: item 5 is at place 9: place 50 is beyond the list of 9",
        ),
        (
            {"pin": [{"item": 5, "at": 2}, {"item": 6, "at": 2}]},
            r"pin\[0\]: item 5 is at place 3: place 2 is not free",
        ),
        ({"boost": {"where": "bid > 7", "add": 1}}, r"boost\[0\]: no candidate fulfils 'bid > 7'"),
        (
            {"slots": {"where": "ad", "every": 2, "floor": {"column": "bid", "at_least": 9}}},
            r"slots\[0\]: no candidate fulfils 'ad' and its floor; its places hold others",
        ),
        (
            {"max_per": {"column": "brand", "most": 1}},
            r"max_per\[0\]: 1 per 'brand' is exceeded at 7 places",
        ),
    ],
)
def test_impossible_rules_give_the_nearest_list_and_say_so(rules, words):
    rows, order, score, _ = candidates(5)
    found = apply_rules(Rules(**rules), rows, order, score, k=9, now=NOW)
    assert sorted(found.rows.tolist()) == sorted(order.tolist())
    (notice,) = found.notices
    assert re.search(words, notice)


def test_rules_over_vectors_need_vectors():
    rows = RuleRows.of_table(pl.DataFrame({"a": [1, 2]}))
    for kind in ("mmr", "dpp"):
        with pytest.raises(QueryError, match=r"need the vectors of items.*similar_by"):
            apply_rules(Rules(**{kind: {}}), rows, np.arange(2), np.array([2.0, 1.0]), k=2)
    with_columns = Rules(mmr={"relevance": 0, "similar_by": ["a"]})
    assert apply_rules(with_columns, rows, np.arange(2), np.array([2.0, 1.0]), k=2).rows.size == 2


def test_each_campaign_spends_its_budget_and_an_empty_list_nothing():
    table = pl.DataFrame(
        {
            "ad": [False] * 6 + [True] * 4,
            "brand": ["-"] * 6 + ["x", "x", "y", "y"],
            "bid": [0.0] * 6 + [2.0, 1.0, 3.0, 3.0],
            "daily": [0.0] * 6 + [40.0, 40.0, 90.0, 90.0],
        }
    )
    rows, ledger = RuleRows.of_table(table), Ledger()
    pacing = {"budget": "daily", "campaign": "brand", "cost": "bid"}
    rules = Rules(slots={"where": "ad", "every": 3, "elsewhere": False, "pacing": pacing})
    order, score, shown = np.arange(10), -np.arange(10.0), []
    for now in np.linspace(0, 86_399, 2_000):
        found = apply_rules(rules, rows, order, score, k=6, now=float(now), ledger=ledger)
        first = found.rows[:6].tolist()
        assert first[:2] == [0, 1]
        assert found.notices == ()
        shown += [row for row in first if row >= 6]
    for brand, budget in (("x", 40.0), ("y", 90.0)):
        spent = sum(table["bid"][row] for row in shown if table["brand"][row] == brand)
        assert spent == pytest.approx(ledger.spent(f"ad\t{brand}"))
        assert 0.9 * budget <= spent <= budget
    apply_rules(rules, rows, order[:0], score, k=6, now=86_399.0, ledger=ledger)
    assert (
        len(apply_rules(rules, rows, order, score, k=6, now=1.0).rows) == 8
    )  # no ledger, no budget
