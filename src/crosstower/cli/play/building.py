"""Train the bundle of a shop, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.console import Console

from crosstower.cli.interrupted import removed_when_interrupted
from crosstower.cli.play.worlds import ShopWorld
from crosstower.data.progress import progress_on
from crosstower.fitting.fit import fit
from crosstower.serving.bundle import make_bundle
from crosstower.storage.files import write_parquet


def build_shop(shop: ShopWorld, place: Path) -> None:
    """Train both stages in a temporary folder, and leave the bundle at `place`.

    Args:
        shop: the world.
        place: where the bundle is to be; one that is there is replaced at the end.

    """
    place.parent.mkdir(parents=True, exist_ok=True)
    hidden = TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.")
    with hidden as name, removed_when_interrupted():
        folder = Path(name)
        rows, items = folder / "rows.parquet", folder / "items.parquet"
        write_parquet(shop.impressions(), rows)
        write_parquet(shop.items(), items)
        retrieval, ranking = shop.recipes(rows, items)
        typer.echo(f"1 of 3: train retrieval on the clicks in {shop.rows:,} impressions")
        runs = [fit(retrieval, out=folder / "retrieval")]
        typer.echo("2 of 3: train the ranker, and fit the blend")
        runs.append(fit(ranking, out=folder / "ranking"))
        typer.echo("3 of 3: bundle models, items and index for the server\n")
        with Console(stderr=True).status("bundling") as status:
            made = make_bundle(
                runs, folder / "bundle", candidates=shop.candidates, on_progress=progress_on(status)
            )
        shutil.rmtree(place, ignore_errors=True)  # of an earlier training run
        made.folder.rename(place)
