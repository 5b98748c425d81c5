from urllib.parse import unquote

import pytest
from psycopg import conninfo

from crosstower.values.addresses.postgres_url import PASSWORDS, PostgresUrl

ADDRESSES = [
    "postgresql://me:pa#ss@h:5/db",
    "postgresql://me:pa?ss=x&y@h:5/db?sslmode=require",
    "postgresql://me:[pass@h/db",
    "postgresql://me:pa:ss@h1:1,[::1]:2/db?target_session_attrs=read-write",
    "postgresql://me:p%40s%2Fs@h/db?application_name=%23",
    "postgresql://me@h/db?p%61ssword=pass&sslpassword=pass",
    "postgres:///db?user=me&password=pass&host=%2Ftmp",
    "postgresql://h",
    "postgresql://",
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses_are_split_as_libpq_splits_them(text: str) -> None:
    url, meant = PostgresUrl.parse(text), conninfo.conninfo_to_dict(text)
    assert str(url) == text
    secrets = {str(meant[name]) for name in PASSWORDS if name in meant}
    assert {unquote(secret) for secret in url.secrets} == secrets
    shown = str(url.without(PASSWORDS))
    assert conninfo.conninfo_to_dict(shown) == {
        name: value for name, value in meant.items() if name not in PASSWORDS
    }
    assert not [secret for secret in url.secrets if secret in shown or secret in repr(url)]


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:hunter2@x@h/db",
        "postgresql://me:hunter2/x@h/db",
        "mysql://me:hunter2@h/db",
        "hunter2",
    ],
)
def test_an_address_that_is_not_clear_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"write them as %40 and %2F|expected postgresql://") as no:
        PostgresUrl.parse(text)
    assert "hunter2" not in str(no.value)
