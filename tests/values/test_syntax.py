"""Texts of expressions as syntax trees: what is refused, and the depth of nodes."""

import ast

import pytest

from crosstower.values.syntax import nodes_of, parsed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a ? b", "at character 3; allowed: names"),
        ("a\0", "null (byte|character).*; allowed: names"),
        ("a" * 21, "expected at most 20 characters, got 21"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parsed(text, longest=20, allowed="names")


def test_nodes_have_their_depth_however_deep_they_are() -> None:
    tree = parsed("not " * 2000 + "a", longest=10_000, allowed="names")
    names = [depth for node, depth in nodes_of(tree.body) if isinstance(node, ast.Name)]
    assert names == [2001]
