"""What a shop lacks is said with what would add it."""

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from crosstower.cli.play.missing_parts import missing_parts
from crosstower.errors import BundleError
from crosstower.serving.bundle import Bundle


def bundle(columns: list[str], texts: list[str], user: str | None, events: list[str]) -> Bundle:
    """Return what `missing_parts` reads of a bundle."""
    section = SimpleNamespace(user=user)
    attributes = pl.DataFrame({name: [0] for name in columns})
    retriever: Any = SimpleNamespace(
        text_sources=texts, catalogue=SimpleNamespace(attributes=attributes)
    )
    run = SimpleNamespace(recipe=SimpleNamespace(retrieval=section))
    found = SimpleNamespace(retrieval=run, event_types=events, retriever=lambda: retriever)
    return cast("Bundle", found)


def test_a_bundle_with_every_part_lacks_none() -> None:
    for places in (["latitude", "longitude"], ["lat", "lng"], ["home_lat", "home_lon"]):
        assert missing_parts(bundle([*places, "price"], ["wish"], "user_id", ["click"])) == []


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((["lat", "lon"], ["wish"], None, ["click"]), "clicks change nothing: add user: COLUMN"),
        ((["lat", "lon"], ["wish"], "u", []), "make the bundle again with --history-event click"),
        ((["lat", "lon"], ["a", "b"], "u", ["click"]), "no search box: "),
        ((["flat", "lon"], ["wish"], "u", ["click"]), "no map: "),
    ],
)
def test_each_missing_part_is_named_with_what_adds_it(
    parts: tuple[list[str], list[str], str | None, list[str]], words: str
) -> None:
    (found,) = missing_parts(bundle(*parts))
    assert words in found


def test_a_bundle_without_items_is_refused() -> None:
    ranks = cast("Bundle", SimpleNamespace(retrieval=None, folder="bundle"))
    with pytest.raises(BundleError, match=r"bundle: a shop needs items, .* add a retrieval run"):
        missing_parts(ranks)
