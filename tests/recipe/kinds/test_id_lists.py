import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crosstower.recipe.kinds.coded import given_vocabulary
from crosstower.recipe.kinds.id_lists import ListLearner, ListState, list_codes
from crosstower.values.codes import MISSING, RESERVED_CODES, UNSEEN
from crosstower.values.vocabulary_fit import VocabularyFit

TABLE = given_vocabulary(("a", "b", "c"))
CODES = {"a": 3, "b": 4, "c": 5, "z": UNSEEN, None: MISSING}
Rows = st.lists(st.none() | st.lists(st.sampled_from(["a", "b", "c", "z", None]), max_size=6))


@given(Rows, st.integers(1, 4), st.booleans())
def test_lists_agree_with_a_loop(rows: list, length: int, keep_last: bool) -> None:
    lists = pl.Series(rows, dtype=pl.List(pl.String))
    codes, counts = list_codes(lists, ListState(TABLE, length), keep_last=keep_last)
    expected = []
    for row in rows:
        values = list(row or [])
        kept = values[-length:] if keep_last else values[:length]
        expected.append([CODES[v] for v in kept])
    assert codes.tolist() == [code for row in expected for code in row]
    assert counts.tolist() == [len(row) for row in expected]


def test_codes_of_values_start_after_the_reserved_ones() -> None:
    codes, counts = list_codes(pl.Series([["a", "c"]]), ListState(TABLE, 3), keep_last=True)
    assert codes.tolist() == [RESERVED_CODES, RESERVED_CODES + 2]
    assert counts.tolist() == [2]


def test_the_longest_list_is_learned_up_to_the_limit() -> None:
    for limit, length in ((None, 3), (2, 2), (9, 3)):
        learner = ListLearner(VocabularyFit(1, None), limit)
        learner.add(pl.Series([["b"], ["a", "b", "c"], None]))
        state = learner.finish()
        assert (state.length, state.table.size) == (length, RESERVED_CODES + 3)
    assert ListLearner(VocabularyFit(1, None), None).finish().length == 1  # no list at all
