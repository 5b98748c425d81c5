from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.errors import DataError, RecipeError
from crosstower.recipe import text_encoders
from crosstower.recipe.text_encoders import register_text_encoder, text_encoder, text_vectors


def lengths(texts: Sequence[str]) -> np.ndarray:
    return np.array([[len(t), 1.0, 0.0] for t in texts])


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(text_encoders._ENCODERS)
    yield
    text_encoders._ENCODERS.clear()
    text_encoders._ENCODERS.update(before)


def test_any_callable_can_be_registered() -> None:
    ct.register_text_encoder("lengths", lengths, width=3)
    found = text_vectors(pl.Series(["abcd", None, "abcd", " "]), "lengths")
    expected = np.array([4.0, 1.0, 0.0]) * np.sqrt(3) / np.sqrt(17)
    np.testing.assert_allclose(found, [expected, [0] * 3, expected, [0] * 3])


def test_the_same_text_is_encoded_once() -> None:
    seen: list[str] = []

    def noting(texts: Sequence[str]) -> np.ndarray:
        seen.extend(texts)
        return lengths(texts)

    register_text_encoder("noting", noting, width=3)
    text_vectors(pl.Series(["a", "b", "a"]), "noting")
    assert sorted(seen) == ["a", "b"]


def test_wordllama_knows_meanings_without_a_download() -> None:
    x = text_vectors(pl.Series(["vegan food", "plant based meals", "diesel engine"]), "wordllama")
    assert x.shape == (3, 256)
    cosine = x @ x.T / 256
    np.testing.assert_allclose(np.diag(cosine), 1.0)
    assert cosine[0, 1] > cosine[0, 2] + 0.2


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(RecipeError, match=r"unknown; did you mean 'wordllama'.*register"):
        text_encoder("wordlama")


def test_a_package_that_is_not_there_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    text_encoders._wordllama.cache_clear()
    monkeypatch.setattr(text_encoders.importlib, "import_module", missing)
    with pytest.raises(RecipeError, match=r"crosstower\[text\]"):
        text_encoder("wordllama")


@pytest.mark.parametrize(("name", "width"), [("hashed", 3), ("wordllama", 3), ("mine", 0)])
def test_wrong_registrations_are_refused(name: str, width: int) -> None:
    with pytest.raises(RecipeError, match="text encoder"):
        register_text_encoder(name, lengths, width=width)


def test_an_encoder_of_another_shape_is_refused() -> None:
    register_text_encoder("wide", lengths, width=5)
    with pytest.raises(DataError, match=r"finite numbers \[1, 5\], got shape \[1, 3\]"):
        text_vectors(pl.Series(["a"]), "wide")
