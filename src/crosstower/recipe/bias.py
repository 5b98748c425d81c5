"""The `bias` section of a recipe: how a row was shown, as opposed to its content. No torch."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from crosstower.errors import did_you_mean
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.coded import Coded
from crosstower.recipe.kinds.id_lists import ListColumn
from crosstower.recipe.kinds.text import Text
from crosstower.recipe.schema import Schema


class Bias(FrozenModel):
    """Columns of how a row was shown, read by a shallow tower that serving leaves out.

    >>> Bias(columns=["position", "device"]).dropout
    0.1

    Raises:
        RecipeError: an option is out of range.

    """

    columns: tuple[str, ...] = Field(
        min_length=1, description="Schema columns, such as the position and the device."
    )
    dim: int = Field(default=8, ge=1, description="D of columns that do not set their own `dim`.")
    hidden: tuple[int, ...] = Field(
        default=(16,), description="Widths of the tower's dense layers; [] makes it linear."
    )
    dropout: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of training rows whose bias columns count as missing, as when serving.",
    )

    @model_validator(mode="before")
    @classmethod
    def _columns_alone(cls, plain: Any) -> Any:
        if isinstance(plain, str):
            return {"columns": [plain]}
        return {"columns": plain} if isinstance(plain, list | tuple) else plain


def check_bias(bias: Bias, schema: Schema, *, retrieves: bool) -> None:
    """Reject columns that a bias tower cannot read by itself.

    Raises:
        ValueError: names the column.

    """
    if retrieves:
        raise ValueError(
            "bias: not allowed in a retrieval recipe, which learns from positives; use it in the"
            " ranking recipe"
        )
    for name in bias.columns:
        if name not in schema.columns:
            raise ValueError(
                f"bias: no column '{name}'{did_you_mean(name, list(schema.columns))}; allowed:"
                f" {', '.join(schema.columns)}"
            )
        _check_alone(name, bias, schema)
    if not set(schema.columns) - set(bias.columns):
        raise ValueError("bias: names every column; leave at least one to the model")


def _check_alone(name: str, bias: Bias, schema: Schema) -> None:
    """Reject a column that the model reads in another form."""
    column = schema.columns[name]
    if bias.columns.count(name) > 1:
        raise ValueError(f"bias: repeats '{name}'; name it once")
    if column.combines or isinstance(column, ListColumn | Text):
        raise ValueError(
            f"bias: column '{name}' is of kind {column.kind}; name columns with one value per row,"
            " such as categorical or numeric ones"
        )
    for other, one in schema.columns.items():
        table = one.table if isinstance(one, Coded) else None
        shares = table == name or (isinstance(column, Coded) and column.table == other)
        if other not in bias.columns and (shares or name in one.combines):
            raise ValueError(
                f"bias: column '{name}' is read by column '{other}' as well, which the model still"
                f" has when serving; declare a column of its own, as in NAME: {{kind:"
                f" {column.kind}, source: {name}}}"
            )
