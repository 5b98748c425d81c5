"""The base of everything that a user declares: checked once, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from crosstower.errors import RecipeError
from crosstower.recipe.validation import explained

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # its module is private


class _HouseStyle(ModelMetaclass):
    """Reports what is wrong with the arguments of a model as a recipe error.

    A metaclass, as a model with its own `__init__` would be validated by it inside other models,
    which loses the path of a nested key.
    """

    if not TYPE_CHECKING:  # checkers read the arguments of a call from the model's fields

        def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805 - of a metaclass
            if args:
                raise RecipeError(
                    f"{cls.__name__}: takes named arguments only, got {args[0]!r:.60}; name each"
                    f" of: {', '.join(cls.model_fields)}"
                )
            try:
                return super().__call__(**values)
            except ValidationError as error:
                raise RecipeError(explained(error, cls, where=cls.__name__)) from None


class FrozenModel(BaseModel, metaclass=_HouseStyle):
    """A model that cannot be changed, and refuses unknown keys and infinite numbers.

    Raises:
        RecipeError: an argument is wrong; one line per wrong argument.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refuse a change.

        Raises:
            RecipeError: always.

        """
        raise RecipeError(
            f"{type(self).__name__}.{name}: cannot be changed; make another with"
            f" model_copy(update={{'{name}': ...}})"
        )
