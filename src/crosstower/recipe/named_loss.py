"""A loss of a task or of retrieval: its name, and its options."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from crosstower.recipe.frozen import FrozenModel


class NamedLoss(FrozenModel):
    """A loss with its options, which the loss itself checks.

    >>> NamedLoss(name="jrc", alpha=0.9).options
    {'alpha': 0.9}
    """

    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1, description="Name of the loss.")

    @property
    def options(self) -> dict[str, Any]:
        """The options, by name."""
        return dict(self.model_extra or {})


def named(loss: Any) -> Any:
    """Return a given loss unchanged if it has a name.

    Raises:
        ValueError: it has none.

    """
    name = loss.get("name") if isinstance(loss, dict) else loss
    if isinstance(loss, NamedLoss) or (isinstance(name, str) and name):
        return loss
    raise ValueError(f"expected a name, or {{name: ..., OPTION: ...}}, got {loss!r}")


def name_of(loss: str | NamedLoss) -> str:
    """Return the name of a loss."""
    return loss.name if isinstance(loss, NamedLoss) else loss


def options_of(loss: str | NamedLoss | None) -> dict[str, Any]:
    """Return the options of a loss; none if only its name is given."""
    return loss.options if isinstance(loss, NamedLoss) else {}


def with_option(loss: Any, name: str, value: Any) -> dict[str, Any]:
    """Return a given loss with one more option, as a mapping.

    >>> with_option("gbce", "calibration", 0.5)
    {'name': 'gbce', 'calibration': 0.5}
    """
    plain = loss.model_dump() if isinstance(loss, NamedLoss) else loss
    return {**(plain if isinstance(plain, dict) else {"name": plain}), name: value}
