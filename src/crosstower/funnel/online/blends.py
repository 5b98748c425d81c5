"""The blend of a request: the ranker's own, or one fitted on held-out predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from crosstower.blending.blender import FittedBlend, fit_blend
from crosstower.errors import CrosstowerError, DataError, QueryError, did_you_mean
from crosstower.recipe.blend import Blend
from crosstower.recipe.tasks import HeadKind
from crosstower.recipe.validation import validate

_MOST_MAPS = 64


@dataclass(frozen=True)
class Override:
    """Per-request overrides; None keeps the value of the ranker's blend.

    `by` is a column, or an empty text for one map over all content types.
    """

    weights: Mapping[str, float] | None = None
    transform: str | Mapping[str, str] | None = None
    by: str | None = None


class Blends:
    """Makes the blend of a request; maps are fitted once for each transform and content type.

    Args:
        own: the ranker's blend, if it has one.
        kinds: of the tasks.
        rows: held-out predictions and the columns of `by`; without them no other blend can be
            fitted.
        by: columns that content types may be taken from.

    `types` is the column of the content type: the blend's own, or the first of `by`.

    """

    def __init__(
        self,
        own: FittedBlend | None,
        kinds: Mapping[str, HeadKind],
        rows: pl.DataFrame | None = None,
        by: tuple[str, ...] = (),
    ) -> None:
        self.own, self.by = own, by
        self.types = by[0] if by else None
        if own is not None and own.spec.by is not None:
            self.types = own.spec.by
        self._kinds, self._rows = dict(kinds), rows
        self._fitted: dict[str, FittedBlend] = {}

    def of(self, override: Override | None) -> FittedBlend | None:
        """Return the requested blend; None if there is none.

        Raises:
            QueryError: it names an unknown task, transform or column.

        """
        if override is None:
            return self.own
        spec = self._spec(override)
        key = f"{sorted(spec.weights)} {spec.transform!r} {spec.by}"
        if key not in self._fitted:
            if len(self._fitted) >= _MOST_MAPS:
                self._fitted.pop(next(iter(self._fitted)))
            self._fitted[key] = self._fit(spec)
        return self._fitted[key].model_copy(update={"spec": spec})

    def _spec(self, override: Override) -> Blend:
        own = self.own.spec if self.own is not None else None
        summed = own if own is not None and own.mode == "sum" else None
        weights = override.weights
        if weights is None:
            weights = dict(own.weights) if own is not None else {next(iter(self._kinds)): 1.0}
        transform: Any = override.transform
        if transform is None:
            transform = summed.transform if summed is not None else "identity"
        if isinstance(transform, Mapping):
            transform = {t: w for t, w in transform.items() if t in weights} or "identity"
        by = override.by if override.by is not None else (summed.by if summed is not None else None)
        plain: dict[str, Any] = {"weights": weights, "transform": transform, "by": by or None}
        try:
            spec = validate(Blend, plain, where="blend")
        except CrosstowerError as error:
            raise QueryError(str(error)) from None
        self._check_by(spec.by)
        return spec.model_copy(update={"diversity": own.diversity if own is not None else None})

    def _check_by(self, by: str | None) -> None:
        if by is not None and by not in self.by:
            allowed = list(self.by)
            raise QueryError(
                f"blend.by: '{by}' is not a content type of this bundle{did_you_mean(by, allowed)};"
                f" allowed: {', '.join(allowed) or 'none'}"
            )

    def _fit(self, spec: Blend) -> FittedBlend:
        if self._rows is None:
            raise QueryError(
                "blend: this bundle has no stored predictions that another blend could be fitted on"
            )
        try:
            return fit_blend(spec, self._kinds, self._rows)
        except DataError as error:
            raise QueryError(f"blend: cannot be fitted: {error}") from None
        except CrosstowerError as error:
            raise QueryError(str(error)) from None
