import sys
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.state.opening import FILE, open_database
from crosstower.serving.state.state import State


def test_a_folder_has_a_file_for_one_machine(tmp_path: Path) -> None:
    with open_database(tmp_path / "a" / "b", []) as database:
        assert (tmp_path / "a" / "b" / FILE).is_file()
        assert not database.shared
        assert database.place == str(tmp_path / "a" / "b")


def test_a_schema_is_for_any_number_of_machines(schema: str) -> None:
    with open_database(schema, []) as database:
        assert database.shared
        assert database.place.startswith("postgresql://crosstower@127.0.0.1:")


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "crosstower.serving.state.postgres", raising=False)
    for name in ("postgres_connection", "postgres_schema", "follower"):
        monkeypatch.delitem(sys.modules, f"crosstower.serving.state.{name}", raising=False)
    with pytest.raises(ServeError, match=r"pip install 'crosstower\[postgres\]'") as error:
        State.open("postgresql://me:secret@h/db")
    assert "secret" not in str(error.value)


def test_an_existing_state_is_needed_to_read_one(tmp_path: Path, schema: str) -> None:
    for address, words in (
        (str(tmp_path / "none"), r"none: not the state of a server \(no state\.sqlite\)"),
        (schema, "not the state of a server; give the address of crosstower serve --state"),
    ):
        with pytest.raises(ServeError, match=words):
            State.open_existing(address)
    assert not (tmp_path / "none").exists()
    State.open(schema).close()
    State.open_existing(schema).close()
