"""Vectors sent to a server in its own process, and written into its state."""

from pathlib import Path

import numpy as np
import pytest

from crosstower.errors import BundleError, ServeError
from crosstower.serving.state.state import State
from crosstower.serving.vectors import push
from crosstower.serving.vectors.push import TOKEN, push_to_server, push_to_state
from crosstower.serving.vectors.vector_file import ItemVectors

from ...fixtures.live_films import LiveFilms
from ..conftest import TOKENS, Start
from ..http.client import ids, service_of
from ..processes import serving


def vectors_of(live_films: LiveFilms, count: int = 5, width: int = 8) -> ItemVectors:
    facts = live_films.only.manifest.retrieval
    assert facts is not None
    found = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    return ItemVectors([f"f{n:02d}" for n in range(count)], found, facts.weights)


@pytest.mark.slow
def test_a_server_stores_them_in_parts(
    live_films: LiveFilms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", token)
    monkeypatch.setattr(push, "_AT_ONCE", 2)
    found = vectors_of(live_films)
    some = ItemVectors([*found.ids[:4], "nowhere"], found.vectors, found.weights)
    state = tmp_path / "state"
    with serving(live_films.only.folder, state) as server:
        assert push_to_server(some, server.url + "/") == (4, 1)
        others = ItemVectors(found.ids, found.vectors, "another")
        with pytest.raises(ServeError, match=r"409: .*vectors of two models cannot be compared"):
            push_to_server(others, server.url)
        monkeypatch.delenv(TOKEN)
        with pytest.raises(ServeError, match="/v1/vectors: 401: "):
            push_to_server(some, server.url)
    with State.open_existing(state) as opened:
        kept = {c.id: c.vector.values for c in opened.changes_after(0) if c.vector is not None}
    assert kept == {i: v.tobytes() for i, v in zip(found.ids[:4], found.vectors, strict=False)}


@pytest.mark.parametrize(
    ("server", "words"),
    [("127.0.0.1:1", "expected http://HOST:PORT"), ("http://127.0.0.1:1", "no response")],
)
def test_a_server_that_is_none_is_named(live_films: LiveFilms, server: str, words: str) -> None:
    with pytest.raises(ServeError, match=words):
        push_to_server(vectors_of(live_films), server)


def test_a_running_server_sees_what_is_written_into_its_state(
    start: Start, live_films: LiveFilms, tmp_path: Path
) -> None:
    client, found = start(live_films.only.folder), vectors_of(live_films, count=30)
    service_of(client).state.set_bundle(live_films.only.folder)  # as `crosstower serve` does
    assert push_to_state(found, tmp_path / "state") == 30
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit[4]), kind="stable")
    near = ids(client.post("/v1/similar", json={"item": "f04", "k": 6}))
    assert near == [found.ids[n] for n in order if n != 4][:6]


def test_vectors_of_other_weights_or_widths_are_not_written(
    live_films: LiveFilms, tmp_path: Path
) -> None:
    with pytest.raises(ServeError, match="not the state of a server"):
        push_to_state(vectors_of(live_films), tmp_path / "none")
    with State.open(tmp_path / "state") as state:
        with pytest.raises(ServeError, match="no server has served a bundle"):
            push_to_state(vectors_of(live_films), tmp_path / "state")
        state.set_bundle(live_films.only.folder)
        with pytest.raises(BundleError, match="has vectors of 8 numbers, these have 9"):
            push_to_state(vectors_of(live_films, width=9), tmp_path / "state")
        state.set_bundle(live_films.bundle.folder)
        with pytest.raises(BundleError, match=r"has the retrieval weights .* vectors export RUN"):
            push_to_state(vectors_of(live_films), tmp_path / "state")
        assert state.last_sequence() == 0
