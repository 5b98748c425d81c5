import random

import polars as pl
import pytest

from crosstower.cli.init.guesses import guess

RNG = random.Random(0)
GENRES = ["Drama", "War", "Comedy", "Film Noir", "Crime"]
LISTS = [RNG.sample(GENRES, RNG.randint(1, 3)) for _ in range(200)]


@pytest.mark.parametrize("separator", ["|", ";", ","])
@pytest.mark.parametrize("space", ["", " "])
def test_lists_with_a_separator_are_bags(separator: str, space: str) -> None:
    cells = [f"{separator}{space}".join(some) for some in LISTS]
    section = {"kind": "bag", "separator": separator, "max_len": 3}
    assert guess(pl.Series("genres", cells)).section == section


@pytest.mark.parametrize("write", [str, lambda some: str(some).replace("'", '"')])
def test_lists_in_brackets_are_bags(write) -> None:
    found = guess(pl.Series("genres", [write(some) for some in LISTS]))
    assert (found.section, found.note) == ({"kind": "bag", "max_len": 3}, "lists of at most 3")


def test_sentences_and_places_with_commas_are_no_bags() -> None:
    words = [f"word{n}" for n in range(300)]
    prose = [", ".join(" ".join(RNG.sample(words, 4)) for _ in range(2)) for _ in range(200)]
    places = [f"{n} Main Road, Springfield" for n in range(200)]
    assert guess(pl.Series("review", prose)).section == {"kind": "text"}
    towns = ["Oslo, Norway", "Rome, Italy"] * 100
    assert guess(pl.Series("town", towns)).section == {"kind": "categorical"}
    assert guess(pl.Series("address", places)).section["kind"] != "bag"  # type: ignore[index]


def test_vectors_as_text_are_no_bags() -> None:
    cells = [f"[{RNG.random()}, {RNG.random()}]" for _ in range(50)]
    assert guess(pl.Series("embedding", cells)).section["kind"] != "bag"  # type: ignore[index]
