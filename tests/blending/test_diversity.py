import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.diversity import Counts, rerank
from crosstower.blending.orders import order_within
from crosstower.errors import DataError
from crosstower.recipe.blend import Diversity

COLUMNS = ("kind", "topic")


def rows(seed: int, count: int = 60, users: int = 6) -> tuple[np.ndarray, np.ndarray, pl.DataFrame]:
    random = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "kind": pl.Series(
                random.choice(["a", "b", "c", None], count, p=[0.6, 0.2, 0.1, 0.1]).tolist(),
                dtype=pl.String,
            ),
            "topic": pl.Series(random.choice([1, 2, None], count).tolist(), dtype=pl.Int64),
        }
    )
    return random.integers(0, users, count), random.integers(0, 9, count) / 8.0, frame


def alike(a: dict, b: dict) -> float:
    same = [a[name] is not None and a[name] == b[name] for name in COLUMNS]
    return sum(same) / len(same)


def brute(spec: Diversity, score: np.ndarray, rows: list[dict]) -> tuple[list[int], int]:
    """One group, by the book: the order of its rows, and places that went to full types."""
    left = sorted(range(len(score)), key=lambda i: -score[i])
    low, high = min(score), max(score)
    chosen: list[int] = []

    def is_open(i: int) -> bool:
        kind = rows[i]["kind"]
        cap = spec.caps.get(kind, spec.caps.get("*", 10**9)) if kind else spec.caps.get("*", 10**9)
        return spec.by is None or sum(rows[j]["kind"] == kind for j in chosen) < cap

    def value(i: int) -> float:
        if spec.mmr is None:
            return score[i]
        relevance = (score[i] - low) / (high - low) if high > low else 0.0
        nearest = max((alike(rows[i], rows[j]) for j in chosen), default=0.0)
        return spec.mmr * relevance - (1.0 - spec.mmr) * nearest

    while len(chosen) < spec.top and (allowed := [i for i in left if is_open(i)]):
        best = max(allowed, key=value)  # the first of equal ones
        chosen.append(best)
        left.remove(best)
    return chosen + left, min(spec.top, len(score)) - len(chosen)


CAPS = {"by": "kind", "caps": {"a": 2, "*": 1}}
MMR = {"mmr": 0.6, "similar_by": COLUMNS}


@pytest.mark.parametrize("keys", [CAPS, {"by": "kind", "caps": {"a": 0, "b": 1}}, MMR, CAPS | MMR])
@given(seed=st.integers(0, 9999), top=st.integers(1, 12))
def test_every_list_is_that_of_the_plain_algorithm(keys, seed, top):
    spec = Diversity(top=top, **keys)
    groups, score, frame = rows(seed)
    rank, counts = rerank(spec, groups, score, frame)
    over, unfilled, changed = 0, 0, 0
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        sequence, missing = brute(spec, score[mine], frame[mine].to_dicts())
        np.testing.assert_array_equal(mine[np.argsort(rank[mine])], mine[sequence])
        over, unfilled = over + missing, unfilled + (missing > 0)
        changed += sequence != sorted(range(len(mine)), key=lambda i: -score[mine][i])
    assert counts == Counts(len(np.unique(groups)), changed, unfilled, over)


def test_a_capped_type_gives_way_and_follows_in_order():
    frame = pl.DataFrame({"kind": ["a", "a", "a", "b", "b", "a"]})
    spec = Diversity(top=4, by="kind", caps={"a": 2})
    rank, counts = rerank(spec, np.zeros(6), np.arange(6, 0, -1) / 6, frame)
    assert rank.tolist() == [1, 2, 5, 3, 4, 6]
    assert counts == Counts(groups=1, changed=1, unfilled=0, over_cap=0)


def test_a_list_of_full_types_only_is_filled_by_score_and_counted():
    frame = pl.DataFrame({"kind": ["a", "a", "a", "b"]})
    spec = Diversity(top=3, by="kind", caps={"a": 1})
    rank, counts = rerank(spec, np.zeros(4), np.array([4.0, 3.0, 2.0, 1.0]), frame)
    assert rank.tolist() == [1, 3, 4, 2]
    assert counts == Counts(groups=1, changed=1, unfilled=1, over_cap=1)


def test_relevance_alone_leaves_the_order_as_it_is():
    groups, score, frame = rows(1, 300)
    rank, counts = rerank(Diversity(mmr=1.0, similar_by=COLUMNS), groups, score, frame)
    np.testing.assert_array_equal(rank, order_within(groups, score))
    assert counts.changed == 0


def test_novelty_alone_takes_one_of_each_kind_first():
    groups, score, frame = rows(2, 300)
    frame = frame.with_columns(pl.col("kind").fill_null("d"))
    spec = Diversity(top=4, mmr=0.0, similar_by=("kind",))
    rank, _ = rerank(spec, groups, score, frame)
    kinds = frame["kind"].to_numpy()
    for group in np.unique(groups):
        mine = groups == group
        assert set(kinds[mine & (rank <= len(set(kinds[mine])))]) == set(kinds[mine])


def test_ranks_are_a_permutation_and_rows_without_a_group_have_none():
    groups, score, frame = rows(3)
    users = pl.Series([None if g == 0 else f"user {g}" for g in groups])
    rank, counts = rerank(Diversity(**CAPS), users, score, frame)
    assert (rank[groups == 0] == 0).all()
    assert counts.groups == len(np.unique(groups[groups > 0]))
    for group in np.unique(groups[groups > 0]):
        mine = np.sort(rank[groups == group])
        np.testing.assert_array_equal(mine, np.arange(1, len(mine) + 1))


def test_bad_input_is_named():
    groups, score, frame = rows(4)
    with pytest.raises(DataError, match="no column 'knid'; did you mean 'kind'"):
        rerank(Diversity(by="knid", caps={"a": 1}), groups, score, frame)
    with pytest.raises(DataError, match="60 scores, 59 rows"):
        rerank(Diversity(**CAPS), groups, score, frame[:59])


def test_no_rows_have_no_order():
    groups, score, frame = rows(5, 0)
    for keys in (CAPS, MMR):
        rank, counts = rerank(Diversity(**keys), groups, score, frame)
        assert (rank.tolist(), counts) == ([], Counts(0, 0, 0, 0))
