from pathlib import Path

import polars as pl

from crosstower.serving.retraining.item_table import item_rows
from crosstower.serving.state.state import State

from ...fixtures.live_films import LiveFilms


def changed(folder: Path) -> State:
    state = State.open(folder)
    state.put_items([{"film": "new", "genre": 9}, {"film": "f01", "genre": 8}], item="film")
    state.delete_items(["f02", "f03"])
    state.put_items([{"film": "f03", "genre": 7}, {"film": "gone", "genre": 6}], item="film")
    state.delete_items(["gone", "never"])
    return state


def genres(items: pl.DataFrame) -> dict[str, int]:
    return dict(items.select("film", "genre").iter_rows())


def test_the_last_change_of_an_item_counts(live_films: LiveFilms, tmp_path: Path) -> None:
    retriever = live_films.bundle.retriever()
    with changed(tmp_path) as state:
        found = item_rows(retriever, state)
        assert found.sequence == state.last_sequence()
    before = genres(retriever.catalogue.attributes)
    now = before | {"new": 9, "f01": 8, "f03": 7}
    del now["f02"]
    assert genres(found.current) == now
    assert genres(found.known) == before | now | {"gone": 6}
    assert found.known["film"].is_unique().all()
    assert (found.id_column, found.unreadable) == ("film", 0)


def test_deleted_items_stay_known_to_later_versions(live_films: LiveFilms, tmp_path: Path) -> None:
    retriever = live_films.bundle.retriever()
    earlier = pl.DataFrame({"film": ["old", "f01", "new"], "genre": [5, 4, 3]})
    with changed(tmp_path) as state:
        found = item_rows(retriever, state, earlier)
    known = genres(found.known)
    assert (known["old"], known["f01"], known["new"]) == (5, 8, 9)
    assert "old" not in genres(found.current)
    assert found.known["film"].is_unique().all()


def test_items_that_do_not_fit_are_counted(live_films: LiveFilms, tmp_path: Path) -> None:
    with State.open(tmp_path) as state:
        rows = [{"film": f"n{n}", "genre": n} for n in range(5)]
        rows[3] = {"film": "n3", "length": 90}
        state.put_items(rows, item="film")
        found = item_rows(live_films.bundle.retriever(), state)
    assert found.unreadable == 1
    assert {"n0", "n1", "n2", "n4"} <= set(found.current["film"])
    assert "n3" not in set(found.current["film"])


def test_vectors_change_no_item(live_films: LiveFilms, tmp_path: Path) -> None:
    retriever = live_films.bundle.retriever()
    with changed(tmp_path) as state:
        before = item_rows(retriever, state)
        state.put_vectors({"f01": bytes(32), "f05": bytes(32), "f02": bytes(32)}, weights="any")
        after = item_rows(retriever, state)
        assert after.sequence == state.last_sequence()
    assert genres(after.current) == genres(before.current)
    assert genres(after.known) == genres(before.known)
