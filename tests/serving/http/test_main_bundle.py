"""A worker opens the chosen bundle while it serves the old one, and keeps that if it cannot."""

from pathlib import Path

import pytest

from crosstower.errors import BundleError
from crosstower.serving.http.main_bundle import MainBundle

from ...fixtures.live_films import LiveFilms
from ..conftest import Start
from .client import service_of


def main_of(start: Start, folder: Path) -> tuple[MainBundle, Start]:
    client = start(folder)
    call = client.portal.call  # type: ignore[union-attr]
    return service_of(client)._main, call


def test_a_swap_serves_another_bundle_and_others_follow(
    start: Start, live_films: LiveFilms
) -> None:
    one, call_one = main_of(start, live_films.only.folder)
    two, call_two = main_of(start, live_films.only.folder)
    new, old = call_one(one.swap, live_films.bundle.folder)
    assert (new, old) == (live_films.bundle.version, live_films.only.version)
    assert one.live is not None
    assert two.live is not None
    assert (one.live.bundle.version, two.live.bundle.version) == (new, old)
    call_two(two.follow)
    assert two.live.bundle.version == new
    served = two.served
    call_two(two.follow)  # it is served already
    assert two.served is served


def test_a_bundle_that_cannot_be_opened_leaves_the_old_one(
    start: Start, live_films: LiveFilms, tmp_path: Path
) -> None:
    main, call = main_of(start, live_films.only.folder)
    with pytest.raises(BundleError, match=f"{live_films.only.version} is still served"):
        call(main.swap, tmp_path / "none")
    assert main.live is not None
    assert main.live.bundle.version == live_films.only.version
    assert main.refused() is None
