"""A bundle says how many items and users find their keys in the tables that its ranker joins."""

import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from crosstower.cli.bundle import print_bundle
from crosstower.errors import DataError
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.training.run import Run

from ...fixtures.funnels import Runs, films


@pytest.fixture(scope="session")
def made(cinema: Runs, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(
        [cinema.retrieval, cinema.ranking], tmp_path_factory.mktemp("cinema") / "bundle"
    )


def joining(cinema: Runs, folder: Path, table: pl.DataFrame, on: str = "film") -> Run:
    """The ranking run, whose recipe joins another table."""
    shutil.copytree(cinema.ranking.folder, folder / "ranking")
    path = folder / "ranking" / "recipe.yaml"
    plain = yaml.safe_load(path.read_text())
    table.write_parquet(folder / "table.parquet")
    joins = [{"path": str(folder / "table.parquet"), "on": on}]
    plain["data"]["joins"] = joins if on == "film" else [*plain["data"]["joins"], *joins]
    path.write_text(yaml.safe_dump(plain))
    return Run.open(folder / "ranking")


def test_items_that_find_their_key_are_counted(
    made: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    (match,) = made.manifest.joins
    assert match.model_dump() == {
        "table": "films.parquet", "on": "film", "of": "items",
        "rows": 40, "found": 40, "keyless": 0,
    }  # fmt: skip
    result = "40 of 40 items found their key (100.0%)"
    assert f"- Join of films.parquet on 'film': {result}\n" in (made.folder / "card.md").read_text()
    page = (made.folder / "card.html").read_text()
    assert result in page
    print_bundle(made)
    assert f"join of films.parquet on 'film': {result}\n" in capsys.readouterr().out
    assert Bundle.open(made.folder).manifest.joins == (match,)


def test_no_folder_of_this_machine_is_in_it(made: Bundle, cinema: Runs) -> None:
    assert cinema.ranking.info.facts.joins
    texts = [p.read_text() for p in made.folder.rglob("*") if p.suffix in {".json", ".yaml", ".md"}]
    assert texts
    assert not any(str(cinema.ranking.folder.parent) in text for text in texts)


def test_few_keys_are_a_note(
    cinema: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranking = joining(cinema, tmp_path, films().head(30))
    made = make_bundle([cinema.retrieval, ranking], tmp_path / "bundle")
    words = "30 of 40 items found their key (75.0%); low: check that both sides"
    assert words in (made.folder / "card.md").read_text()
    print_bundle(made)
    assert words in capsys.readouterr().out


def test_a_table_with_the_key_of_no_item_is_refused(cinema: Runs, tmp_path: Path) -> None:
    strange = films().with_columns(film="x" + pl.col("film"))
    ranking = joining(cinema, tmp_path, strange)
    message = r"table\.parquet on 'film': none of 40 items found its key: the items hold 'f00'"
    with pytest.raises(DataError, match=message):
        make_bundle([cinema.retrieval, ranking], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(("users", "found"), [(range(10, 60), 40), (range(900, 910), 0)])
def test_known_users_that_find_their_key_are_counted(
    cinema: Runs, tmp_path: Path, users: range, found: int
) -> None:
    table = pl.DataFrame({"user": list(users), "town": ["x"] * len(users)})
    ranking = joining(cinema, tmp_path, table, on="user")
    if not found:
        with pytest.raises(DataError, match=r"on 'user': none of 50 users found its key"):
            make_bundle([cinema.retrieval, ranking], tmp_path / "bundle")
        return
    of_items, of_users = make_bundle(
        [cinema.retrieval, ranking], tmp_path / "bundle"
    ).manifest.joins
    assert (of_items.of, of_items.found) == ("items", 40)
    assert (of_users.of, of_users.found, of_users.rows) == ("users", found, 50)


@pytest.mark.slow
def test_a_key_that_comes_with_each_request_is_not_counted(cinema: Runs, tmp_path: Path) -> None:
    table = pl.DataFrame({"hour": list(range(24)), "night": [h < 6 for h in range(24)]})
    ranking = joining(cinema, tmp_path, table, on="hour")
    (match,) = make_bundle([cinema.retrieval, ranking], tmp_path / "bundle").manifest.joins
    assert match.of == "items"
