"""The short demo: train, evaluate and bundle a funnel of holiday homes, and print its findings."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import typer
from rich.console import Console

from crosstower.cli.demo.homes import CANDIDATES, homes_recipes
from crosstower.cli.demo.homes_value import METRIC, STAGES, HomesValue, K, homes_value
from crosstower.cli.interrupted import removed_when_interrupted
from crosstower.cli.tables import console, print_table
from crosstower.data.datasets.worlds.holiday_catalogue import HOMES, holiday_homes_table
from crosstower.data.datasets.worlds.holiday_homes import travellers
from crosstower.data.progress import progress_on
from crosstower.fitting.fit import fit
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.verdicts import lift_verdict
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import SEEN_ITEMS, USER
from crosstower.serving.bundle import make_bundle
from crosstower.storage.files import free_folder, write_parquet

_USERS = 5
_TITLES = {
    "popular": "Popular homes",
    "retrieved": "Retrieved by taste",
    "ranked": "+ ranked by click",
    "blended": "+ blended by revenue",
}


def homes_demo(out: Path, *, rows: int, seed: int) -> Path:
    """Train the funnel in new folders of `out`, print the value of its lists; return the bundle."""
    out.mkdir(parents=True, exist_ok=True)
    items = out / "demo-homes.parquet"
    write_parquet(holiday_homes_table(), items)
    recipes = homes_recipes(items, rows=rows, seed=seed)
    folders = [free_folder(out / f"demo-homes-{stage}") for stage in ("retrieval", "ranking")]
    place = free_folder(out / "demo-homes-bundle")
    typer.echo(
        f"{travellers().height} users search {HOMES} holiday homes; the simulator knows what each"
        f" list is worth.\n"
    )
    with removed_when_interrupted(*folders, place):
        retriever, value = _trained(recipes, folders, place)
    print_value(value)
    print_users(value, longest_histories(retriever))
    return place


def _trained(
    recipes: tuple[Recipe, Recipe], folders: list[Path], place: Path
) -> tuple[Retriever, HomesValue]:
    """Train, compare and bundle both stages, and say which step it is."""
    typer.echo(f"1 of 4: learn tastes from the clicks in {recipes[0].data.rows:,} impressions")
    retrieval = fit(recipes[0], out=folders[0])
    typer.echo("2 of 4: learn which homes a search clicks and books")
    ranking = fit(recipes[1], out=folders[1])
    typer.echo("3 of 4: compare lists of ten homes")
    with Console(stderr=True).status("reading") as status:
        funnel = Funnel.open(retrieval, ranking, candidates=CANDIDATES)
        value = homes_value(funnel, progress_on(status))
    typer.echo("4 of 4: bundle models, homes and index for the server\n")
    with Console(stderr=True).status("bundling") as status:
        make_bundle(
            [retrieval, ranking], place, candidates=CANDIDATES, on_progress=progress_on(status)
        )
    return funnel.retriever, value


def print_value(value: HomesValue) -> None:
    """Print the mean revenue per stage, and a sentence on the gain of each stage."""
    best = float(value.best.mean())
    rows = [
        [
            _TITLES[stage.name],
            f"{(of := stage.metrics[METRIC]).mean:.0f} ± {(of.high - of.low) / 2:.0f}",
            f"{100 * of.mean / best:.0f} %",
        ]
        for stage in value.stages
    ]
    rows.append(["Best possible list", f"{best:.0f}", "100 %"])
    title = (
        f"Expected revenue of the first {K} homes, {len(value.users)} test users (± half of the"
        " 95 % interval)"
    )
    print_table(title, ["", "Revenue", "Of the best"], rows)
    for lift in value.lifts:
        console().print(lift_verdict(lift, METRIC), highlight=False)
    typer.echo("")


def print_users(value: HomesValue, users: list[str]) -> None:
    """Print the revenue of each stage for a few users, and their true preferences."""
    place = {user: row for row, user in enumerate(value.users)}
    tastes = travellers().rows_by_key("user_id", named=True, unique=True)
    rows = [
        [
            user,
            f"{(own := tastes[user])['favourite']}, then {own['second']}; {own['wanted']}",
            *(f"{value.values[name][place[user]]:.0f}" for name in STAGES),
        ]
        for user in users
        if user in place
    ]
    title = "Revenue for the users with the most clicks; the models never see their tastes"
    print_table(title, ["User", "Likes", *(name.title() for name in STAGES)], rows[:_USERS])


def longest_histories(retriever: Retriever) -> list[str]:
    """Return the users with the most clicks first, as the server's page offers them."""
    most = retriever.users.select(USER, count=pl.col(SEEN_ITEMS).list.len())
    return most.sort("count", descending=True)[USER].cast(pl.String).to_list()
