"""Parse the text of a condition, from untrusted input, into a syntax tree of bounded size."""

from __future__ import annotations

import ast
import math

from crosstower.errors import QueryError
from crosstower.values.syntax import nodes_of, parsed

MOST_CHARACTERS, MOST_COMPARISONS, MOST_DEPTH = 100_000, 200, 20
_LEAST, _MOST = -(2**63), 2**64 - 1
_SHOWN = 200


def parsed_filter(text: str, *, allowed: str) -> ast.Expression:
    """Return the syntax tree of a condition.

    The cost is linear in the length of the text.

    Args:
        text: the condition.
        allowed: description of the grammar, for the message of a syntax error.

    Raises:
        QueryError: a syntax error, a text, nesting or number of comparisons above the limits, a
            number beyond 64 bits, or a text that is no Unicode.

    """
    try:
        tree = parsed(text, longest=MOST_CHARACTERS, allowed=allowed)
    except RecursionError:
        raise _too_deep(text) from None
    except ValueError as error:
        raise QueryError(f"{named(text)}: {error}") from None
    _check(text, tree)
    return tree


def named(text: str) -> str:
    """Return how messages name a condition: its text, cut where it is long.

    >>> named("price < 120")
    "filter 'price < 120'"
    """
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"filter '{shown.encode('utf-8', 'replace').decode()}'"


def _check(text: str, tree: ast.Expression) -> None:
    comparisons = 0
    for node, depth in nodes_of(tree.body):
        if depth > MOST_DEPTH:
            raise _too_deep(text)
        comparisons += _tests(node)
        if isinstance(node, ast.Constant):
            _check_constant(text, node.value)
    if comparisons > MOST_COMPARISONS:
        raise QueryError(
            f"{named(text)}: expected at most {MOST_COMPARISONS} comparisons, got {comparisons};"
            " write alternatives as COLUMN in [VALUES]"
        )


def _tests(node: ast.AST) -> int:
    if isinstance(node, ast.Compare):
        return len(node.ops)
    if isinstance(node, ast.BoolOp):
        return sum(isinstance(value, ast.Name) for value in node.values)
    return 0


def _check_constant(text: str, value: object) -> None:
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise QueryError(f"{named(text)}: a whole number has more than 64 bits; give a smaller one")
    if isinstance(value, float) and not math.isfinite(value):
        raise QueryError(f"{named(text)}: a number is too large; give one below 1.8e308")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise QueryError(
                f"{named(text)}: a text holds half of a character (a lone surrogate)"
            ) from None


def _too_deep(text: str) -> QueryError:
    return QueryError(
        f"{named(text)}: nested more than {MOST_DEPTH} levels deep; remove brackets and signs"
    )


def sorted_tree(tree: ast.Expression) -> ast.Expression:
    """Return a tree with the operands of `and` and `or` in alphabetical order."""
    return _Sorted().visit(tree)


class _Sorted(ast.NodeTransformer):
    def visit_BoolOp(self, node: ast.BoolOp) -> ast.BoolOp:
        self.generic_visit(node)
        node.values.sort(key=ast.unparse)
        return node
