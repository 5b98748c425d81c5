"""The dialect of CSV files in a recipe."""

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.csv import Csv


def test_an_encoding_is_kept_by_its_usual_name() -> None:
    assert Csv(encoding="Latin1").encoding == "iso8859-1"
    assert Csv(encoding="UTF8").encoding == "utf-8"
    assert Csv().encoding is None


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    assert Csv(delimiter=delimiter).delimiter == delimiter


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delimiter": "||"}, "one character"),
        ({"delimiter": '"'}, "one character"),
        ({"delimiter": "\n"}, "one character"),
        ({"encoding": "utf-9"}, "expected an encoding .* got 'utf-9'"),
        ({"delimeter": ";"}, "did you mean 'delimiter'"),
    ],
)
def test_another_dialect_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Csv(**options)
