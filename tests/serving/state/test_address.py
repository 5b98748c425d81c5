import json
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.address import PostgresAddress, full_text, state_address

WHOLE = "postgresql://me:s%40cret@a.example:5433,b.example/shop?sslmode=require&sslpassword=hidden"


def test_own_parameters_are_taken_out_and_the_others_left_to_libpq() -> None:
    found = state_address(
        "postgres://h/db?schema=second&sslrootcert=%2Fca.pem&pool_size=9&statement_timeout=2.5"
    )
    assert found == PostgresAddress("postgres://h/db?sslrootcert=%2Fca.pem", "second", 9, 2.5)
    assert state_address("postgresql:///db") == PostgresAddress("postgresql:///db")


def test_text_in_messages_has_no_password() -> None:
    found = state_address(WHOLE)
    assert isinstance(found, PostgresAddress)
    shown = "postgresql://me@a.example:5433,b.example/shop?sslmode=require&schema=crosstower"
    assert str(found) == shown
    assert repr(found) == f"PostgresAddress('{shown}')"
    assert found.has_password
    said = "no login of me with s@cret (s%40cret) and hidden"
    assert found.hide(said) == "no login of me with *** (***) and ***"


@pytest.mark.parametrize("password", ["s#cret", "s?cret", "s[cret", "s:cret"])
def test_a_password_may_contain_signs_that_divide_other_urls(password: str) -> None:
    found = state_address(f"postgresql://me:{password}@h:1/db?schema=s")
    assert isinstance(found, PostgresAddress)
    assert found.has_password
    assert str(found) == "postgresql://me@h:1/db?schema=s"
    assert found.hide(f"no login with {password}") == "no login with ***"
    assert state_address(full_text(found)) == found


@pytest.mark.parametrize(
    "plain", ["postgresql://me@h/db", "postgresql://h/db?sslmode=require", "postgresql://me:@h/db"]
)
def test_an_address_may_be_without_a_password(plain: str) -> None:
    found = state_address(plain)
    assert isinstance(found, PostgresAddress)
    assert not found.has_password
    assert found.hide("postgresql h db") == "postgresql h db"


def test_the_full_text_is_the_same_address_also_through_settings() -> None:
    found = state_address(f"{WHOLE}&schema=s&pool_size=2&statement_timeout=0.5")
    assert state_address(full_text(found)) == found
    settings = Settings(bundle=Path("b"), state=found)
    assert Settings.model_validate_json(settings.model_dump_json()).state == found
    assert "cret" not in repr(settings)
    folder = Settings(bundle=Path("b"), state=Path("/s"))
    assert Settings.model_validate_json(folder.model_dump_json()).state == Path("/s")
    assert json.loads(folder.model_dump_json())["state"] == "/s"


def test_a_folder_is_a_path() -> None:
    assert state_address("a/state") == Path("a/state") == state_address(Path("a/state"))
    assert state_address("postgresql") == Path("postgresql")
    assert full_text(Path("/s")) == "/s"


def test_a_path_made_of_an_address_is_that_address() -> None:
    assert state_address(Path("postgresql://me@h/db")) == state_address("postgresql://me@h/db")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("mysql://me:secret@h/db", r"expected a folder or postgresql://.*, got mysql://\.\.\."),
        ("postgresql://me:secret/@h/db", "contains '@' or '/'; write them as %40 and %2F"),
        ("postgresql://h/db?schema=pg_x", "schema: expected at most 63 of a-z"),
        ("postgresql://h/db?schema=a%22b", "schema: expected at most 63 of a-z"),
        ("postgresql://h/db?schema=", "schema: expected at most 63 of a-z"),
        ("postgresql://h/db?pool_size=0", "pool_size: expected a number from 1 to 100, got '0'"),
        ("postgresql://h/db?statement_timeout=soon", "statement_timeout: expected seconds from"),
        ("postgresql://h/db?statement_timeout=nan", "statement_timeout: expected seconds from"),
    ],
)
def test_a_wrong_address_is_refused_without_its_password(given: str, words: str) -> None:
    with pytest.raises(ServeError, match=words) as error:
        state_address(given)
    assert "secret" not in str(error.value)
