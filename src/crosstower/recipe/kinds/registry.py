"""Column kinds by name: the built-in ones, and your own, which read cells in their own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import SerializeAsAny, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from crosstower.errors import RecipeError
from crosstower.recipe.columns import (
    Bag,
    Categorical,
    Column,
    Cross,
    Distance,
    Numeric,
    Sequence,
    Text,
    Vector,
)
from crosstower.recipe.registry import Registry
from crosstower.recipe.validation import explained

BASES = (Categorical, Numeric, Bag, Sequence, Text, Vector)
"""Kinds that read one column of the data: an own kind is a subclass of one of them."""

COLUMNS = Registry[type[Any]]("column kind", package="crosstower.recipe.kinds")

C = TypeVar("C", bound=type)


def register_column(name: str) -> Callable[[C], C]:
    """Register a class as a column kind.

    It is a subclass of the built-in kind whose values it gives: `clean` turns the raw cells of a
    column into such values, and everything after that (what is learned, the codes or numbers,
    the model's inputs, files, requests of a server) is as for the built-in kind. Fields that the
    class adds are options of the column.

    Args:
        name: value of `kind` in the schema; the class declares it as `kind: Literal[name] = name`.

    Raises:
        RecipeError: the class is no subclass of a built-in kind, its `kind` is another, or
            another module has registered the name.

    """

    def keep(cls: C) -> C:
        if not issubclass(cls, BASES):
            allowed = ", ".join(base.__name__ for base in BASES)
            raise RecipeError(
                f"column kind '{name}': {cls.__name__} must be a subclass of one of {allowed}"
            )
        declared = cls.model_fields["kind"].default
        if declared != name:
            raise RecipeError(
                f"column kind '{name}': {cls.__name__} must declare kind: Literal['{name}'] ="
                f" '{name}', got '{declared}'"
            )
        COLUMNS.add(name, cls, module=cls.__module__)
        return cls

    return keep


_UNION = (*BASES, Distance, Cross)
for _kind in _UNION:
    COLUMNS.add(_kind.model_fields["kind"].default, _kind, module="crosstower.recipe.columns")


def _declared(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Return a declared column; the union of built-in kinds does not know the others."""
    if isinstance(value, dict):
        return _from_plain(value, handler)
    if not isinstance(value, BASES) or type(value) in _UNION:
        return handler(value)
    if COLUMNS.entries.get(value.kind) is not type(value):
        raise ValueError(
            f"{type(value).__name__} is not registered; decorate the class with"
            " @register_column(NAME)"
        )
    return value


def _from_plain(value: dict[str, Any], handler: ValidatorFunctionWrapHandler) -> Any:
    kind = value.get("kind")
    if not isinstance(kind, str):
        return handler(value)
    try:
        cls = COLUMNS.get(kind)
    except RecipeError as error:
        raise ValueError(str(error)) from None
    if cls in _UNION:
        return handler(value)
    try:
        return cls.model_validate(value)
    except ValidationError as error:
        raise ValueError(explained(error, cls)) from None


AnyColumn = Annotated[SerializeAsAny[Column], WrapValidator(_declared)]
"""A column of the schema, of a built-in or a registered kind."""
