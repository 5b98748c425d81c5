"""Training a shop: a bundle that answers, or nothing at all."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from crosstower.cli.play import building
from crosstower.cli.play.building import build_shop
from crosstower.cli.play.worlds import SHOPS
from crosstower.fitting.fit import fit
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle import building as bundling
from crosstower.serving.bundle.forms import EAGER
from crosstower.serving.bundle.live import Live

SMALL = replace(SHOPS["homes"], rows=1_500)


@pytest.mark.slow
def test_the_bundle_serves_a_new_visitor_with_a_wish(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tests/serving/bundle exports models for speed, which takes longer than this whole training.
    monkeypatch.setattr(bundling, "write_fastest", lambda *_, **__: EAGER)
    short = partial(fit, overrides={"training.epochs": 1}, quiet=True)
    monkeypatch.setattr(building, "fit", short)
    build_shop(SMALL, folder / "runs" / "play-homes")
    assert [path.name for path in (folder / "runs").iterdir()] == ["play-homes"]
    live = Live.open(Bundle.open(folder / "runs" / "play-homes")).needs_funnel
    query = {"wish": "by the sea", "guests": None, "budget": None}
    where = "distance_km(latitude, longitude, 46.0, 8.0) < 900"
    found = live.recommend(FunnelRequest(user="nobody", query=query, where=where, k=5))
    assert len(found.places) >= 5


def test_an_interrupted_training_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, out: Path) -> None:
        out.mkdir()
        (out / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_shop(SMALL, folder / "runs" / "play-homes")
    assert list((folder / "runs").iterdir()) == []
