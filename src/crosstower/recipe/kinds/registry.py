"""Column kinds by name, built-in ones and your own: one file and one registration each."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, TypeVar

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import InitErrorDetails

from crosstower.errors import RecipeError
from crosstower.recipe.kinds.kind import Kind
from crosstower.recipe.registry import Registry

COLUMNS = Registry[type[Kind]]("column kind", package="crosstower.recipe.kinds")

C = TypeVar("C", bound=type)


def register_column(name: str) -> Callable[[C], C]:
    """Register a class as a column kind.

    It is a subclass of `Column`, or of a built-in kind such as `Categorical` whose values it gives:
    then what is learned, the codes or numbers, the model's inputs, files and requests of a server
    are as for that kind, unless the class replaces them. Its fields are options of the column.

    Args:
        name: value of `kind` in the schema; the class declares it as `kind: Literal[name] = name`.

    Raises:
        RecipeError: the class is not a subclass of `Column`, its `kind` differs, it learns a state
            of no type, or another module has registered the name.

    """

    def keep(cls: C) -> C:
        if not issubclass(cls, Kind):
            raise RecipeError(
                f"column kind '{name}': {cls.__name__} must be a subclass of crosstower.Column or"
                " of a built-in kind such as crosstower.Categorical"
            )
        declared = cls.model_fields["kind"].default if "kind" in cls.model_fields else None
        if declared != name:
            raise RecipeError(
                f"column kind '{name}': {cls.__name__} must declare kind: Literal['{name}'] ="
                f" '{name}', got '{declared}'"
            )
        if not cls.__module__.startswith("crosstower."):
            _check_hooks(name, cls)
        COLUMNS.add(name, cls, module=cls.__module__)
        return cls

    return keep


def _check_hooks(name: str, cls: type[Kind]) -> None:
    """Reject a class that does not declare its codes, or the type of its learned state."""
    missing = [hook for hook in ("inputs", "coder") if getattr(cls, hook) is getattr(Kind, hook)]
    if missing:
        raise RecipeError(
            f"column kind '{name}': {cls.__name__} must define {' and '.join(missing)}, or be a"
            " subclass of a built-in kind such as crosstower.Numeric, which has them"
        )
    if "learner" in vars(cls) and "State" not in vars(cls):
        raise RecipeError(
            f"column kind '{name}': {cls.__name__} has a learner; declare State, the frozen model"
            " that its finish returns, so that a run can store it"
        )


@lru_cache(maxsize=8)
def _union(kinds: tuple[type[Kind], ...]) -> TypeAdapter[Any]:
    """Return the check of columns by name, each of one of the kinds."""
    column: Any = Annotated[reduce(or_, kinds), Field(discriminator="kind")]
    columns: Any = Annotated[dict[str, column], Field(min_length=1)]
    return TypeAdapter(columns)


def _all_kinds() -> TypeAdapter[Any]:
    COLUMNS.load()  # own modules too: one that is wrong is reported even if nothing needs it
    return _union(tuple(COLUMNS.entries.values()))


def _checked(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Return declared columns; which kinds there are is known when columns are read."""
    if not isinstance(value, dict):
        return handler(value)
    kinds = _all_kinds()
    faults = [
        InitErrorDetails(type="value_error", loc=(name,), input=column, ctx={"error": fault})
        for name, column in value.items()
        if (fault := _fault(column)) is not None
    ]
    if faults:
        raise ValidationError.from_exception_data("columns", faults)
    return kinds.validate_python(value)


def _fault(column: Any) -> ValueError | None:
    """Return the error of a column's kind, None if it is known."""
    if isinstance(column, Kind):
        if COLUMNS.entries.get(column.kind) is type(column):
            return None
        return ValueError(
            f"{type(column).__name__} is not registered; decorate the class with"
            " @register_column(NAME)"
        )
    kind = column.get("kind") if isinstance(column, dict) else None
    if not isinstance(kind, str) or kind in COLUMNS.entries:
        return None
    return ValueError(COLUMNS.unknown(kind, COLUMNS.names()))


class _SchemaOfKinds:
    """Gives editors the options of every kind."""

    def __get_pydantic_json_schema__(self, _: Any, handler: GetJsonSchemaHandler) -> Any:
        return handler(_all_kinds().core_schema)


Columns = Annotated[dict[str, SerializeAsAny[Kind]], WrapValidator(_checked), _SchemaOfKinds()]
"""Columns of a schema by name, of built-in and registered kinds."""
