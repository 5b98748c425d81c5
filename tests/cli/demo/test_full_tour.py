"""The whole tour: every run and every funnel, those that find nothing included."""

from pathlib import Path

import pytest

from ..command_line import Capture, run

pytestmark = pytest.mark.slow


def test_the_tour_tells_chance_from_skill(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "demo", "--full", "--rows", "1500")
    assert code == 0
    assert "Best possible" in out
    assert (
        "no better than chance (0.5)"
        in out.split("random labels")[-1].split("Watch next: retrieve")[0]
    )
    assert sorted(p.name for p in (here / "runs").iterdir()) == [
        "demo-app-installs",
        "demo-feed-bundle",
        "demo-feed-ranking",
        "demo-feed-retrieval",
        "demo-pure-chance",
        "demo-rentals-bundle",
        "demo-rentals-listings.parquet",
        "demo-rentals-ranking",
        "demo-rentals-retrieval",
        "demo-watch-next-retrieval",
    ]
