"""The `rules` section: requirements on lists. No torch.

Rules apply after the blend, in a fixed order: `require` and `exclude`;
`boost`, `bury` and `freshness`; `dedup_by`; `mmr` or `dpp`; `spacing`; then `max_per`, `slots` and
`pin` together.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from crosstower.errors import RecipeError
from crosstower.recipe.arguments import place_argument
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.rule_kinds import (
    Boost,
    Bury,
    Condition,
    Dpp,
    Freshness,
    MaxPer,
    Mmr,
    Name,
    Pin,
    Slots,
    Spacing,
)
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_mapping
from crosstower.values.addresses.address import Place

MOST = 64
"""Maximum rules per kind."""


def _listed(value: Any) -> Any:
    """Return a single rule as a list of one."""
    return [value] if isinstance(value, str | dict) else value


class Rules(FrozenModel):
    """Rules of the lists of a bundle or a request.

    >>> Rules(exclude=["adult == true"], max_per=[{"column": "seller", "most": 2}]).columns()
    ['seller']
    """

    require: Annotated[tuple[Condition, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Conditions that every item must fulfil."
    )
    exclude: Annotated[tuple[Condition, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Conditions that no item may fulfil."
    )
    boost: Annotated[tuple[Boost, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Raised scores."
    )
    bury: Annotated[tuple[Bury, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Lowered scores."
    )
    freshness: Freshness | None = Field(default=None, description="Decay of scores with age.")
    dedup_by: Annotated[tuple[Name, ...], BeforeValidator(_listed)] = Field(
        default=(),
        max_length=MOST,
        description="Columns; only the best item per value is kept.",
    )
    mmr: Mmr | None = Field(default=None, description="Maximal marginal relevance.")
    dpp: Dpp | None = Field(default=None, description="Determinantal point process.")
    spacing: Annotated[tuple[Spacing, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Soft distances between equal values."
    )
    max_per: Annotated[tuple[MaxPer, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Limits per value."
    )
    slots: Annotated[tuple[Slots, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Reserved places."
    )
    pin: Annotated[tuple[Pin, ...], BeforeValidator(_listed)] = Field(
        default=(), max_length=MOST, description="Items at fixed positions."
    )

    @model_validator(mode="after")
    def _one_diversity(self) -> Self:
        if self.mmr is not None and self.dpp is not None:
            raise ValueError("mmr, dpp: both are given; keep one, as each re-ranks the whole list")
        return self

    @property
    def needs_vectors(self) -> bool:
        """Whether a rule reads the vectors of items."""
        return self.dpp is not None or (self.mmr is not None and not self.mmr.similar_by)

    def conditions(self) -> list[tuple[str, str]]:
        """Return (key, condition) of each condition."""
        found = [(f"require[{i}]", text) for i, text in enumerate(self.require)]
        found += [(f"exclude[{i}]", text) for i, text in enumerate(self.exclude)]
        for kind in ("boost", "bury", "slots"):
            rules = enumerate(getattr(self, kind))
            found += [(f"{kind}[{i}].where", rule.where) for i, rule in rules]
        return found

    def value_columns(self) -> list[tuple[str, str]]:
        """Return (key, column) of each column whose distinct values matter."""
        found = [(f"dedup_by[{i}]", name) for i, name in enumerate(self.dedup_by)]
        if self.mmr is not None:
            found += [(f"mmr.similar_by[{i}]", n) for i, n in enumerate(self.mmr.similar_by)]
        found += [(f"spacing[{i}].column", rule.column) for i, rule in enumerate(self.spacing)]
        found += [(f"max_per[{i}].column", rule.column) for i, rule in enumerate(self.max_per)]
        for i, slot in enumerate(self.slots):
            if slot.pacing is not None and slot.pacing.campaign is not None:
                found.append((f"slots[{i}].pacing.campaign", slot.pacing.campaign))
        return found

    def number_columns(self) -> list[tuple[str, str]]:
        """Return (key, column) of each column that is read as numbers."""
        found: list[tuple[str, str]] = []
        for i, slot in enumerate(self.slots):
            if slot.floor is not None:
                found.append((f"slots[{i}].floor.column", slot.floor.column))
            if slot.pacing is not None and slot.pacing.cost is not None:
                found.append((f"slots[{i}].pacing.cost", slot.pacing.cost))
            if slot.pacing is not None and isinstance(slot.pacing.budget, str):
                found.append((f"slots[{i}].pacing.budget", slot.pacing.budget))
        return found

    def columns(self) -> list[str]:
        """Return the columns that rules name outside of conditions, each once."""
        named = [name for _, name in (*self.value_columns(), *self.number_columns())]
        named += [self.freshness.column] if self.freshness is not None else []
        return list(dict.fromkeys(named))

    def given(self) -> bool:
        """Return whether there is any rule."""
        return any(getattr(self, name) for name in Rules.model_fields)

    def with_request(self, asked: Rules | None) -> Rules:
        """Return these rules of a bundle with those of a request.

        Lists are joined, those of the bundle first; `freshness` and `mmr` or `dpp` of the request
        replace the bundle's. With `replace`, only the request's rules apply.
        """
        if asked is None:
            return self
        if isinstance(asked, RequestRules) and asked.replace:
            return asked
        given = {name for name in Rules.model_fields if getattr(asked, name)}
        both = {n: getattr(self, n) for n in Rules.model_fields}
        if given & {"mmr", "dpp"}:
            both |= {"mmr": None, "dpp": None}
        for name in given:
            mine, theirs = both[name], getattr(asked, name)
            both[name] = (*mine, *theirs) if isinstance(theirs, tuple) else theirs
        return Rules.model_construct(**both)


class RequestRules(Rules):
    """Rules of one request, which add to those of the bundle."""

    replace: bool = Field(default=False, description="Ignore the rules of the bundle.")


def load_rules(path: str | Place) -> Rules:
    """Read a file of rules.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "rules.yaml"
    >>> _ = path.write_text("pin: {item: 17, at: 1}")
    >>> load_rules(path).pin[0].at
    1

    Args:
        path: of a YAML or JSON file with the keys of `Rules`.

    Raises:
        RecipeError: the file is missing, is not YAML, or a key is wrong.

    """
    place = place_argument("rules", path, error=RecipeError, expected="the path of a YAML file")
    plain = read_mapping(
        place,
        missing="no such file of rules; it holds keys such as pin",
        named="the rules are",
        empty="expected keys such as boost and pin, got none",
    )
    return validate(Rules, plain, where="rules")
