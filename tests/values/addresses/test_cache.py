from pathlib import Path

import pytest

from crosstower.values.addresses.cache import cache_folder, digest_of


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTOWER_CACHE", "/big/disk")
    assert cache_folder() == Path("/big/disk")
    monkeypatch.delenv("CROSSTOWER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/a/.caches")
    assert cache_folder() == Path("/home/a/.caches/crosstower")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/a")
    assert cache_folder() == Path("/home/a/.cache/crosstower")


def test_digests_tell_the_parts_apart() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")
    assert len(digest_of("a")) == 20
