"""Base of all sections of a recipe: validated once, then immutable; and their former keys."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)

from crosstower.errors import RecipeError
from crosstower.recipe.renamed import NONE, warn_renamed
from crosstower.recipe.validation import explained

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # its module is private


class _HouseStyle(ModelMetaclass):
    """Reports wrong arguments of a model as a RecipeError.

    It is a metaclass because pydantic calls a custom `__init__` for nested models as well, which
    loses the path of a nested key. The docstring of a model is made when it is read.
    """

    if not TYPE_CHECKING:  # checkers read the arguments of a call from the model's fields

        def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805 - of a metaclass
            if args:
                raise RecipeError(
                    f"{cls.__name__}: expected keyword arguments, got {args[0]!r:.60}; allowed:"
                    f" {', '.join(cls.model_fields)}"
                )
            try:
                return super().__call__(**values)
            except ValidationError as error:
                raise RecipeError(explained(error, cls, where=cls.__name__)) from None

        @property
        def __doc__(cls) -> str | None:  # noqa: N805 - of a metaclass
            return _documented(cls, cls.__dict__.get("__doc__"))


def _documented(model: type[BaseModel], doc: str | None) -> str | None:
    """Return the docstring of a model with the descriptions of its fields, and what it raises."""
    described = {f.alias or n: f.description for n, f in model.model_fields.items()}
    lines = [
        textwrap.fill(f"{name}: {text}", 100, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for name, text in described.items()
        if text is not None
    ]
    if not doc or not lines:
        return doc
    words = inspect.cleandoc(doc).partition(_ARGS)[0]
    return "\n".join([f"{words.rstrip()}\n\n{_ARGS.rstrip()}", *lines, "", *_RAISES, ""])


_ARGS = "Args:\n"
_RAISES = ("Raises:", "    RecipeError: an argument is wrong; one line per wrong argument.")


class FrozenModel(BaseModel, metaclass=_HouseStyle):
    """An immutable pydantic model that rejects unknown keys and infinite numbers.

    Its docstring lists the descriptions of its fields as arguments, and `RecipeError`.

    >>> from pydantic import Field
    >>> class Options(FrozenModel):
    ...     "Options of a model."
    ...
    ...     width: int = Field(default=8, ge=1, description="Output width.")
    >>> Options(width=0)
    Traceback (most recent call last):
    crosstower.errors.RecipeError: Options.width: expected a number greater than or equal to ...
    >>> print(Options.__doc__)
    Options of a model.
    <BLANKLINE>
    Args:
        width: Output width.
    <BLANKLINE>
    Raises:
        RecipeError: an argument is wrong; one line per wrong argument.
    <BLANKLINE>

    Raises:
        RecipeError: an argument is wrong; one line per wrong argument.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> Any:
        """Leave the arguments out of the schema's description: its properties have them."""
        schema = handler(core_schema)
        found = handler.resolve_ref_schema(schema)
        if "description" in found:
            found["description"] = found["description"].partition(_ARGS)[0].rstrip()
        return schema

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Reject any change.

        Raises:
            RecipeError: always.

        """
        raise RecipeError(
            f"{type(self).__name__}.{name}: cannot be changed; create a copy with"
            f" model_copy(update={{'{name}': ...}})"
        )


def with_new_keys(
    plain: Any, names: Mapping[str, str], values: Mapping[str, str] = NONE, *, where: str
) -> Any:
    """Return a section with its old keys renamed; warn once per old key.

    Args:
        plain: the section as given; anything but a dict is returned unchanged.
        names: new key by old key.
        values: new value by old value of a renamed key.
        where: name of the section, for messages.

    Raises:
        ValueError: a section has both the old and the new key.

    """
    if not isinstance(plain, dict):
        return plain
    for old, new in names.items():
        if old not in plain:
            continue
        if new in plain:
            raise ValueError(f"{old} is the old name of {new}, and both are set; remove {old}")
        given = plain[old]
        value = values.get(given, given) if isinstance(given, str) else given
        if value == given:
            warn_renamed(f"{where}.{old}", f"{where}.{new}")
        else:
            warn_renamed(f"{where}.{old}: {given}", f"{where}.{new}: {value}")
        plain = {(new if k == old else k): (value if k == old else v) for k, v in plain.items()}
    return plain


def former_keys(names: Mapping[str, str], values: Mapping[str, str] = NONE, *, where: str) -> Any:
    """Return the validator of a section that still accepts old keys, as by `with_new_keys`.

    >>> from pydantic import BaseModel
    >>> class Limits(BaseModel):
    ...     max_queue: int
    ...     _former = former_keys({"waiting": "max_queue"}, where="limits")
    >>> Limits.model_validate({"max_queue": 3}).max_queue
    3

    Args:
        names: new key by old key.
        values: new value by old value of a renamed key.
        where: name of the section, for messages.

    """

    def rename(plain: Any) -> Any:
        return with_new_keys(plain, names, values, where=where)

    return model_validator(mode="before")(rename)
