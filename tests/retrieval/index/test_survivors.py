import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index import survivors
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.survivors import Conditions, Survivors

N = 400
TABLE = pl.DataFrame({"u": np.arange(N), "city": ["Rome", "Oslo"] * (N // 2)})


def first(count: int) -> pl.Series:
    """Return the condition that the first items fulfil."""
    return pl.Series(np.arange(N) < count)


def test_all_spellings_of_a_condition_share_their_survivors() -> None:
    catalogue = Catalogue(np.arange(N), TABLE)
    one = catalogue.survivors("u < 10 and city == 'Rome'")
    assert one is catalogue.survivors('(city=="Rome") and  u<10')
    assert one.places.tolist() == [0, 2, 4, 6, 8]  # type: ignore[union-attr]
    assert one is not catalogue.survivors("u < 10 or city == 'Rome'")


def test_survivors_are_kept_until_items_change() -> None:
    catalogue = Catalogue(np.arange(N), TABLE)
    before = catalogue.survivors("u < 10")
    assert catalogue.survivors("u < 10") is before
    catalogue.remove([3])
    assert catalogue.survivors("u < 10").places.tolist() == [0, 1, 2, *range(4, 10)]  # type: ignore[union-attr]
    catalogue.extend(Catalogue([N], pl.DataFrame({"u": [5], "city": ["Rome"]})))
    assert catalogue.survivors("u < 10").places[-1] == N  # type: ignore[union-attr]


def test_a_shared_catalogue_removes_by_itself() -> None:
    catalogue = Catalogue(np.arange(N), TABLE)
    catalogue.survivors("u < 10")
    other = catalogue.shared()
    other.drop(np.array([0]))
    assert len(other) == N - 1
    assert not other.fits("u < 10")[0]
    assert catalogue.fits("u < 10")[0]
    assert len(catalogue) == N
    assert catalogue.survivors(None) is None


def test_the_conditions_used_last_are_kept_within_the_memory() -> None:
    conditions = Conditions(most_bytes=3 * (9 * N // 8 + 8 * 10))
    made: list[int] = []

    def get(number: int) -> None:
        def evaluate() -> pl.Series:
            made.append(number)
            return first(10)

        conditions.get(f"u < {number}", evaluate)

    for number in (1, 2, 3, 1, 4, 1, 2):
        get(number)
    assert made == [1, 2, 3, 4, 2]
    assert len(conditions) == 3


def test_derived_data_is_kept_from_its_second_use_on() -> None:
    one = Survivors(first(10))
    made = iter(range(9))
    found = [one.derived("x", lambda: next(made), 100) for _ in range(4)]
    assert found == [0, 1, 1, 1]
    assert one.bytes == 9 * N // 8 + 8 * 10 + 100


def test_derived_data_counts_as_memory() -> None:
    conditions = Conditions(most_bytes=10_000)
    for _ in range(2):
        conditions.get("a", lambda: first(10)).derived("x", lambda: "made", 9_500)
    conditions.get("b", lambda: first(10))
    assert conditions.get("a", lambda: first(20)).count == 20


def test_conditions_seen_before_stay_within_the_memory_as_well() -> None:
    conditions = Conditions(most_bytes=10_000)
    names = "abcde"
    for name in names:
        conditions.get(name, lambda: first(10)).derived("x", lambda: "made", 4_000)
    assert len(conditions) == 5
    for name in names:
        conditions.get(name, lambda: first(10)).derived("x", lambda: "made", 4_000)
    assert len(conditions) < 5


def test_the_number_of_conditions_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survivors, "MOST_CONDITIONS", 2)
    conditions = Conditions()
    for name in "abcde":
        conditions.get(name, lambda: first(1))
    assert len(conditions) == 2


@pytest.mark.parametrize("count", [0, 1, 9, N])
def test_mask_and_places_are_those_of_the_booleans(count: int) -> None:
    one = Survivors(pl.concat([first(count)[:7], first(count)[7:]])[3:])
    expected = np.arange(3, N) < count
    assert one.count == expected.sum()
    np.testing.assert_array_equal(one.mask, expected)
    np.testing.assert_array_equal(one.places, np.flatnonzero(expected))


def test_long_texts_are_not_remembered_beside_their_condition() -> None:
    conditions = Conditions()
    long = " or ".join(f"u == {i}" for i in range(190))
    one = conditions.get(long, lambda: first(10))
    assert conditions.get(f"  {long}", lambda: first(20)) is one


def test_a_wrong_condition_is_refused_each_time() -> None:
    catalogue = Catalogue(np.arange(N), TABLE)
    for _ in range(2):
        with pytest.raises(QueryError, match="no column 'v'"):
            catalogue.survivors("v < 3")


@pytest.mark.parametrize("gathered", [0, 1_000])
def test_few_survivors_are_scored_as_many_are(
    gathered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosstower.retrieval.index.exact.GATHERED", gathered)
    x = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    queries = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    index = ExactIndex.build(np.arange(N), x, TABLE)
    exclude = [[0, 7, 9_999], [], [1], list(range(30)), [2]]
    for queried in (queries, queries[:1]):
        for _ in range(2):
            hits = index.search(queried, 12, where="u < 30", exclude=exclude[: len(queried)])
            for row, query in enumerate(queried):
                left = [i for i in range(30) if i not in exclude[row]]
                best = sorted(left, key=lambda i: -float(x[i] @ query))[:12]
                assert hits.ids(row).to_list() == best
    assert len(index.search(queries, 40, where="u < 30").ids(0)) == 30
    assert len(index.search(queries, 3, where="u < 0").frame()) == 0
