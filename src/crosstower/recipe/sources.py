"""The `sources` section of a recipe: where candidates come from, and how many from each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from crosstower.recipe.frozen import FrozenModel

MODEL = "two_tower"
"""Kind of the source that searches the retrieval model's index."""


class SourceSpec(FrozenModel):
    """A source of candidates. Keys other than these are options of its kind.

    In a recipe, the number `50` is short for `{quota: 50}`.

    >>> trending = SourceSpec(kind="popular", quota=20, window="7d")
    >>> trending.options
    {'window': '7d'}
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    kind: str | None = Field(
        default=None, min_length=1, description="Kind of the source (default: its name)."
    )
    quota: int = Field(
        ge=1, strict=True, description="Maximum number of candidates that it contributes."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options of its kind."""
        return dict(self.model_extra or {})


def _with_quotas(given: Any) -> Any:
    """Return sources whose numbers are written out as quotas."""
    if not isinstance(given, dict):
        return given
    return {
        name: {"quota": source} if isinstance(source, int | float) else source
        for name, source in given.items()
    }


SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)]

Sources = Annotated[
    dict[SourceName, SourceSpec],
    Field(min_length=1, max_length=32),
    BeforeValidator(_with_quotas),
]
"""Sources of candidates by name, in the order of the merge."""


def kinds_of(sources: dict[str, SourceSpec]) -> dict[str, str]:
    """Return the kind of each source.

    >>> kinds_of({"ease": SourceSpec(quota=9), "new": SourceSpec(kind="recent", quota=5)})
    {'ease': 'ease', 'new': 'recent'}
    """
    return {name: source.kind or name for name, source in sources.items()}
