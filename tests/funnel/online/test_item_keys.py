"""Keys of items while they are put and deleted."""

from typing import Any

import polars as pl
import pytest

from crosstower.data.counters.keys import hash_of
from crosstower.funnel.online import item_keys as module
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.item_keys import ItemKeys
from crosstower.serving.bundle.live import Live

from ...fixtures.counted_films import CountedFilms
from ...fixtures.live_films import LiveFilms


@pytest.fixture
def catalogue(counted_films: CountedFilms) -> OnlineCatalogue:
    return Live.open(counted_films.own).needs_funnel.catalogue


def put(catalogue: OnlineCatalogue, **genres: int) -> None:
    rows = [{"film": film, "genre": genre} for film, genre in genres.items()]
    catalogue.put(catalogue.encode(rows))


def genres(keys: ItemKeys, *films: str | None) -> list[Any]:
    known, found = keys.of(pl.Series(films, dtype=pl.String))
    numbers = {hash_of(genre): genre for genre in range(9)} | {0: None}
    each = zip(known.tolist(), found["genre"].tolist(), strict=True)
    return [numbers[key] if there else "unknown" for there, key in each]


def test_keys_follow_items(catalogue: OnlineCatalogue) -> None:
    keys = catalogue.keys
    assert genres(keys, "f01", "new", None, "f03") == [1, "unknown", "unknown", 0]
    put(catalogue, new=5, f01=1)
    assert (keys.puts, keys.moved) == (1, 0)  # f01 has the same genre as before
    put(catalogue, new=6, f01=2)
    assert (keys.puts, keys.moved) == (2, 2)
    assert genres(keys, "f03", "new", "f01") == [0, 6, 2]


def test_keys_of_deleted_items_are_remembered(
    catalogue: OnlineCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_DELETED", 2)
    keys = catalogue.keys
    put(catalogue, a=4, b=5, c=6)
    catalogue.delete(["a", "never"])
    catalogue.delete(["f03", "b"])
    assert genres(keys, "a", "b", "c", "f03", "never") == [4, 5, 6, 0, "unknown"]
    catalogue.delete(["c"])
    assert genres(keys, "a", "b", "c") == ["unknown", 5, 6]
    put(catalogue, b=5, c=7)
    assert keys.moved == 1
    assert genres(keys, "b", "c") == [5, 7]


def test_a_bundle_without_counters_looks_nothing_up(live_films: LiveFilms) -> None:
    catalogue = Live.open(live_films.bundle).needs_funnel.catalogue
    known, found = catalogue.keys.of(pl.Series(["f01"]))
    assert (known.tolist(), found) == ([False], {})
    put(catalogue, new=5)
    assert catalogue.keys.moved == 0
