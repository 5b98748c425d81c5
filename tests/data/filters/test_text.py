"""The text of a condition: bounded size, no code."""

import pytest

from crosstower.data.filters.filter import parse_filter
from crosstower.errors import QueryError

from .test_filter import COLUMNS, MANY, many


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('/etc/passwd').read() == city",
        "(lambda: 1)()",
        "city.__class__ == 'x'",
        "[x for x in [1]]",
        "price < (1).__class__",
        "f'{city}' == 'x'",
        "price if pool else beds",
    ],
)
def test_code_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(QueryError, match=r"is not a|needs a column|the only function is"):
        parse_filter(text, COLUMNS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-" * 1_899 + "1", "nested more than 20 levels deep"),
        ("~" * 1_900 + "1", "nested more than 20 levels deep"),
        ("not " * 25 + "War", "nested more than 20 levels deep"),
        ("(" * 150 + "War" + " and War)" * 150, "nested more than 20 levels deep"),
        ("(" * 900 + "War" + ")" * 900, "too many nested parentheses|nested more than"),
        ("War" + "<War" * 490, "at most 200 comparisons, got 490"),
        ("War" + " or War" * 490, "at most 200 comparisons, got 491"),
        ("small in [1.5]", "column 'small' holds Int8, got 1.5"),
        ("1.5 in codes", "column 'codes' holds|holds Int8, got 1.5"),
        ("small == " + "1" * 26, "more than 64 bits"),
        ("small in [" + "1" * 26 + "]", "more than 64 bits"),
        ("price < " + "1" * 400, "more than 64 bits"),
        ("small == 0x" + "f" * 30, "more than 64 bits"),
        ("price < 1e999", "a number is too large"),
        ("price < " + "1" * 5_000, "filter 'price < 111"),
        ("name == '\ud800'", "surrogates? not allowed"),
        ("name == '\\ud800'", "a lone surrogate"),
        ("name == '\0'", "null bytes|source code"),
        ("codes == 1", "column 'codes' holds lists; write VALUE in codes"),
        ("codes < codes", "column 'codes' holds lists"),
        ("pair in [1]", "column 'pair' holds lists"),
        ("small in [" + "1," * 60_000 + "]", "at most 100,000 characters"),
    ],
)
def test_what_costs_too_much_is_refused(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words) as error:
        many(text)
    assert len(str(error.value)) < 700


@pytest.mark.parametrize("sign", ["<", " and ", " or "])
def test_the_cost_of_a_filter_is_linear_in_its_length(sign: str) -> None:
    """A tree of conditions is as deep as the logarithm of their number."""
    texts = ["War" + f"{sign}War" * 180, "price" + "<price" * 180]
    for text in texts:
        expression = str(parse_filter(text, dict(MANY.schema)))
        assert max(_depths(expression)) < 40


def _depths(text: str) -> list[int]:
    depth, found = 0, [0]
    for letter in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        found.append(depth)
    return found
