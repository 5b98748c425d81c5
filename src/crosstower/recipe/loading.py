"""Recipes from files, texts, schemas and run folders. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from crosstower.errors import RecipeError
from crosstower.recipe.arguments import described, place_argument
from crosstower.recipe.overrides import Overrides, override
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import anchor_paths, read_yaml
from crosstower.values.addresses.address import Address, Place, place_of
from crosstower.values.addresses.remote import read_text


def load_recipe(path: str | Place, overrides: Overrides | None = None) -> Recipe:
    """Read a recipe file; relative paths of data start at its folder.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "clicks.yaml"
    >>> _ = path.write_text("schema: {columns: {user: categorical}, tasks: {click: binary}}")
    >>> load_recipe(path, ["training.epochs=3"]).training.epochs
    3

    Args:
        path: path or address of a YAML file.
        overrides: {"training.epochs": 3}, or texts such as ["training.epochs=3"].

    Raises:
        RecipeError: the file is missing, is not YAML, or a key is wrong.

    """
    expected = "the path or address of a YAML file"
    place = place_argument("recipe", path, error=RecipeError, expected=expected)
    return _load(place, overrides)


def _load(place: Place, overrides: Overrides | None) -> Recipe:
    try:
        text = read_text(place)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise RecipeError(
            f"{place}: no such recipe; write one with: crosstower init DATA -o"
            f" {place.name if place.suffix else f'{place.name}.yaml'}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{place}: cannot be read: {error}") from error
    return _parse(text, overrides, folder=place.parent, name=place.stem)


def parse_recipe(
    text: str,
    overrides: Overrides | None = None,
    *,
    folder: Place | None = None,
    name: str | None = None,
) -> Recipe:
    """Parse a recipe from YAML text, with overrides such as `training.epochs=3`.

    >>> parse_recipe("schema: {columns: {user: categorical}, tasks: {click: binary}}").name
    'run'

    Args:
        text: YAML.
        overrides: {"training.epochs": 3}, or texts such as ["training.epochs=3"].
        folder: base of relative data paths.
        name: of a recipe without its own.

    Raises:
        RecipeError: the text is not YAML, a key is wrong, or an argument is of another type.

    """
    if folder is not None:
        folder = place_argument("folder", folder, error=RecipeError, expected="a folder")
    return _parse(text, overrides, folder=folder, name=name)


def _parse(
    text: str, overrides: Overrides | None, *, folder: Place | None, name: str | None
) -> Recipe:
    try:
        plain: Any = read_yaml(text)
    except AttributeError:  # neither text nor bytes
        raise RecipeError(
            f"text: expected YAML text, got {described(text)}; make a recipe of plain data with"
            " Recipe.model_validate(data)"
        ) from None
    except yaml.YAMLError as error:
        raise RecipeError(f"the recipe is not valid YAML: {error}") from error
    if not isinstance(plain, dict):
        raise RecipeError(
            "the recipe is empty or not a mapping; expected keys such as data, schema and model"
        )
    override(plain, overrides)
    if name is not None:
        plain.setdefault("name", name)
    if folder is not None:
        anchor_paths(plain, folder)
    return validate(Recipe, plain)


def as_recipe(recipe: Any, overrides: Overrides | None = None) -> Recipe:
    """Return the recipe of a file or of a run folder, of a schema, or itself, with overrides.

    Raises:
        RecipeError: it is something else, or the file is wrong.

    """
    if isinstance(recipe, Schema):
        recipe = Recipe(schema=recipe)
    if isinstance(recipe, Recipe):
        return parse_recipe(recipe.to_yaml(), overrides) if overrides else recipe
    if not isinstance(recipe, str | Path | Address):
        raise RecipeError(
            f"recipe: expected the path of a YAML file, a Recipe or a Schema, got"
            f" {described(recipe)}; rows are given by data, with a schema that says what they are:"
            " fit(Schema(columns=..., tasks=...), data=rows)"
        )
    place = place_of(recipe, error=RecipeError)
    is_folder = isinstance(place, Path) and place.is_dir()
    return _load(place / "recipe.yaml" if is_folder else place, overrides)
