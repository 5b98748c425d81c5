from typing import Annotated, Literal

import pytest
from pydantic import Discriminator, Field, Tag

from crosstower.errors import RecipeError
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.validation import unknown_key, validate


class Cat(FrozenModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9
    indoors: bool = False


class Dog(FrozenModel):
    kind: Literal["dog"] = "dog"
    tricks: tuple[str, ...] = ()


class Home(FrozenModel):
    pets: dict[str, Annotated[Cat | Dog, Field(discriminator="kind")]] = Field(default={})
    rooms: int = Field(default=1, ge=1)
    doors: tuple[str, ...] = Field(default=("front",), min_length=1)
    area: int | float = 100
    lock: bool | Annotated[str, Field(min_length=1)] = True
    rent: Annotated[float, Field(gt=0)] | str = "free"


def test_good_data_becomes_a_model() -> None:
    home = validate(Home, {"pets": {"tom": {"kind": "cat"}}, "rooms": 2})
    assert home == Home(pets={"tom": Cat()}, rooms=2)


def test_a_list_that_is_too_short_says_how_many_it_needs() -> None:
    with pytest.raises(RecipeError, match=r"^doors: expected at least 1 item, got \[\]$"):
        validate(Home, {"doors": []})


def test_all_errors_are_reported_together() -> None:
    with pytest.raises(RecipeError) as caught:
        validate(Home, {"romms": 3, "rooms": 0, "pets": {"rex": {"kind": "dog", "trick": []}}})
    lines = str(caught.value).splitlines()
    assert sorted(lines) == [
        "pets.rex.trick: unknown key; did you mean 'tricks'?; allowed: kind, tricks",
        "romms: unknown key; did you mean 'rooms'?; allowed: pets, rooms, doors, area, lock, rent",
        "rooms: expected a number greater than or equal to 1, got 0",
    ]


def test_a_section_without_keys_says_so() -> None:
    words = r"model\.hidden: unknown key; no keys are allowed here, remove it$"
    with pytest.raises(RecipeError, match=words):
        validate(FrozenModel, {"hidden": [8]}, where="model")


def test_the_section_leads_the_key() -> None:
    with pytest.raises(RecipeError, match=r"^model\.lives: expected a valid integer"):
        validate(Cat, {"lives": "many"}, where="model")


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"indoors": "maybe"}, "indoors: expected true or false, got 'maybe'"),
        ({"lives": "many"}, "lives: expected a valid integer, got 'many'"),
    ],
)
def test_a_value_of_another_type_is_refused_in_few_words(plain: object, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        validate(Cat, plain)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"area": "much"}, "area: expected a valid integer or a valid number, got 'much'"),
        ({"lock": 3}, "lock: expected true or false or a valid string, got 3"),
        ({"lock": ""}, "lock: String should have at least 1 character, got ''"),
        ({"rent": -1}, "rent: expected a number greater than 0, got -1"),
        ({"rent": [1]}, "rent: expected a valid number or a valid string, got [1]"),
        ({"pets": 3}, "pets: expected a mapping, got 3"),
        ({"pets": {"tom": 3}}, "pets.tom: expected a mapping, got 3"),
        ({"doors": 3}, "doors: expected a valid list, got 3"),
        ({"pets": {"tom": {"lives": 7}}}, "pets.tom.kind: missing; expected 'cat', 'dog'"),
    ],
)
def test_types_are_named_in_words_of_the_file(plain: object, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        validate(Home, plain)
    assert str(caught.value) == words


def test_a_kind_that_a_function_tells_is_no_riddle() -> None:
    class Zoo(FrozenModel):
        pet: Annotated[
            Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(lambda _: None)
        ]

    with pytest.raises(RecipeError, match=r"^pet: Unable to extract tag .* got \{\}$"):
        validate(Zoo, {"pet": {}})


def test_a_wrong_kind_names_the_kinds() -> None:
    with pytest.raises(RecipeError, match=r"pets\.tom: expected 'cat', 'dog', got 'bird'"):
        validate(Home, {"pets": {"tom": {"kind": "bird"}}})


def test_an_unknown_key_is_named_with_those_of_its_section() -> None:
    words = unknown_key(Home, ("pets", "tom", "cat", "livs"))
    assert words == "unknown key; did you mean 'lives'?; allowed: kind, lives, indoors"
