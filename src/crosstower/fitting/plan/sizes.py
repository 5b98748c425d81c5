"""Sizes of tables and lengths of lists, from a recipe that was not trained, or from a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from crosstower.data.encoders.encoder_fit import draft_layout
from crosstower.data.layout import RESERVED_CODES, CodeField, Layout, ListField
from crosstower.errors import RecipeError
from crosstower.recipe.kinds.coded import coded_columns
from crosstower.recipe.recipe import Recipe
from crosstower.values.vocabulary_fit import VocabularyFit

AnyField = TypeVar("AnyField", CodeField, ListField)

LIST_LENGTH = 10
"""Values per list of a recipe that sets no `max_len`."""


def sized_layout(
    recipe: Recipe, layout: Layout | None, *, ids: int | None, list_length: int | None
) -> Layout:
    """Return the layout of a model with tables of the requested size.

    Columns with a vocabulary share what `ids` leaves to them: evenly without a run, in proportion
    to their size in a run. A `max_size` is kept.

    Args:
        recipe: its schema.
        layout: of a finished run; None for a recipe that was not trained.
        ids: rows of all tables together; None keeps the sizes of the run.
        list_length: values per list; None for the maximum of each column.

    Raises:
        RecipeError: vocabularies of unknown size, or fewer `ids` than hash buckets.

    """
    known = draft_layout(recipe.schema_) if layout is None else layout
    fields = [*known.codes, *known.lists]
    sizes = {f.table: f.size for f in reversed(fields)}
    growing = _growing(recipe, sizes)
    if growing and ids is None and layout is None:
        raise RecipeError(
            f"--ids: {', '.join(growing)} learn their vocabularies from the rows, whose size is not"
            " known yet; give the number of ids, such as --ids 1e9, or plan a finished run"
        )
    if ids is not None:
        sizes |= _shares(recipe, sizes, growing, ids, even=layout is None)
    codes = tuple(_resized(f, sizes) for f in known.codes)
    lists = tuple(
        replace(
            _resized(f, sizes), length=_length(recipe, f, list_length, trained=layout is not None)
        )
        for f in known.lists
    )
    return replace(known, codes=codes, lists=lists)


def _growing(recipe: Recipe, sizes: dict[str, int]) -> list[str]:
    """Return the tables whose vocabulary is learned."""
    coded = coded_columns(recipe.schema_.columns)
    owners = {name: column for name, column in coded.items() if column.table is None}
    return [
        name
        for name, column in owners.items()
        if name in sizes and isinstance(column.own_table(), VocabularyFit)
    ]


def _shares(
    recipe: Recipe, sizes: dict[str, int], growing: list[str], ids: int, *, even: bool
) -> dict[str, int]:
    """Return the sizes of growing tables that make `ids` rows of all tables together."""
    fixed = sum(size for name, size in sizes.items() if name not in growing)
    left = ids - fixed
    if left < 0 or not growing:
        if growing or left != 0:
            _refuse_ids(ids, fixed, growing)
        return {}
    whole = sum(sizes[name] for name in growing)
    found = dict[str, int]()
    for name in growing:
        share = 1 / len(growing) if even else sizes[name] / whole
        most = coded_columns(recipe.schema_.columns)[name].max_size
        size = max(int(left * share), RESERVED_CODES)
        found[name] = size if most is None else min(size, most + RESERVED_CODES)
    return found


def _refuse_ids(ids: int, fixed: int, growing: list[str]) -> None:
    if not growing:
        raise RecipeError(
            f"--ids: {ids:,} given, but every table has a size in the recipe ({fixed:,} rows, of"
            " hash_buckets, vocabularies and ranges); leave --ids out, or change the recipe with -o"
        )
    raise RecipeError(
        f"--ids: {ids:,} given, but hash buckets and given vocabularies have {fixed:,} rows;"
        " give more, or change the recipe with -o"
    )


def _resized(field: AnyField, sizes: dict[str, int]) -> AnyField:
    return replace(field, size=sizes[field.table])


def _length(recipe: Recipe, field: ListField, given: int | None, *, trained: bool) -> int:
    if given is not None:
        return given
    if trained:
        return field.length
    column = recipe.schema_.columns[field.name]
    return getattr(column, "max_len", None) or LIST_LENGTH
