import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import DataError, RecipeError
from crosstower.recipe.kinds.text import Text, text_codes, words_of
from crosstower.values.codes import PADDING, RESERVED_CODES


def codes(texts: list[str | None], **options: object) -> list[list[int]]:
    rows = text_codes(pl.Series(texts, dtype=pl.String), Text(**options))  # type: ignore[arg-type]
    return [[c for c in row if c != PADDING] for row in rows.tolist()]


def test_words_are_lower_case_and_normalised() -> None:
    found = words_of(pl.Series(["Crème brûlée, 2x!", "ﬁne", "", None]))
    assert found.to_list() == [["crème", "brûlée", "2x"], ["fine"], [], None]


def test_a_word_has_the_same_code_everywhere() -> None:
    one, other = codes(["vegan food", "Food, VEGAN!"], word_ngrams=1, char_ngrams=None)
    assert len(one) == 2
    assert one == other[::-1]


def test_how_many_ngrams_a_text_has() -> None:
    words, runs, characters = 3, 2 + 1, sum(len(f"<{w}>") - 2 for w in ("red", "long", "coat"))
    (found,) = codes(["red long coat"], word_ngrams=3, char_ngrams=(3, 3), max_len=64)
    assert len(found) == words + runs + characters


def test_the_order_of_words_counts_in_runs() -> None:
    one, other = codes(["not good", "good not"], word_ngrams=2, char_ngrams=None)
    assert set(one[:2]) == set(other[:2])
    assert one[2] != other[2]


def test_runs_stay_within_their_text() -> None:
    together = codes(["red coat", "blue shoe"], char_ngrams=None)
    alone = [codes([t], char_ngrams=None)[0] for t in ("red coat", "blue shoe")]
    assert together == alone


def test_misspelt_words_share_character_ngrams() -> None:
    one, other, far = (set(row) for row in codes(["jumpsuit", "jumpsiut", "shoe"]))
    assert len(one & other) > len(one & far)


def test_words_come_first_when_a_text_is_too_long() -> None:
    text = "a b c d e"
    (short,) = codes([text], max_len=5)
    assert short == codes([text], word_ngrams=1, char_ngrams=None)[0]


def test_no_text_is_all_padding() -> None:
    assert codes([None, "", "?!", "x"], char_ngrams=None, word_ngrams=1)[:3] == [[], [], []]
    assert text_codes(pl.Series([], dtype=pl.String), Text()).shape == (0, 64)


@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), min_size=1, max_size=8))
def test_any_text_gives_codes_within_the_buckets(texts: list[str | None]) -> None:
    rows = text_codes(pl.Series(texts, dtype=pl.String), Text(hash_buckets=50, max_len=9))
    assert rows.shape == (len(texts), 9)
    assert rows.dtype == np.int32
    used = rows[rows != PADDING]
    assert ((used >= RESERVED_CODES) & (used < RESERVED_CODES + 50)).all()


def test_texts_are_encoded_alone_as_together() -> None:
    texts = ["a warm winter coat", None, "red", "coat coat"]
    whole = text_codes(pl.Series(texts), Text())
    parts = [text_codes(pl.Series([t], dtype=pl.String), Text()) for t in texts]
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"char_ngrams": (4, 3)}, "shortest, longest"),
        ({"encoder": "wordllama", "hash_buckets": 9}, "allowed only with encoder"),
        ({"max_len": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_options_are_refused(options: dict, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Text(**options)


def test_texts_may_be_numbers_but_not_lists() -> None:
    read = Text().reader()
    assert read(pl.Series("t", [1, 2])).values.to_list() == ["1", "2"]
    with pytest.raises(DataError, match="column 't': expected text, got List"):
        read(pl.Series("t", [["a"]]))
