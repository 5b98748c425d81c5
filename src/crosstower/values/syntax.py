"""Parse expressions from untrusted input into syntax trees; nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def parsed(text: str, *, longest: int, allowed: str) -> ast.Expression:
    """Return the syntax tree of an expression, in time linear in the length of the text.

    >>> ast.unparse(parsed("a+ 1", longest=10, allowed="numbers and names"))
    'a + 1'

    Args:
        text: of the expression.
        longest: most characters.
        allowed: description of the grammar, for the message of a syntax error.

    Raises:
        ValueError: a syntax error, or a text that is too long or no Unicode.
        RecursionError: it is nested too deeply to be parsed.

    """
    if len(text) > longest:
        raise ValueError(f"expected at most {longest:,} characters, got {len(text):,}")
    try:
        return ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        place = f"at character {error.offset}" if error.offset else "at its end"
        words = f"{error.msg} {place}"
    except MemoryError:
        raise RecursionError from None
    except ValueError as error:  # a null byte or half of a character
        words = str(error)
    raise ValueError(f"{words}; allowed: {allowed}")


def nodes_of(root: ast.expr) -> Iterator[tuple[ast.AST, int]]:
    """Give each node with its depth; the memory is that of one level and never the stack's.

    >>> [depth for _, depth in nodes_of(ast.parse("a", mode="eval").body)]
    [1, 2]
    """
    waiting: list[tuple[ast.AST, int]] = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
