"""Send item vectors to a server over HTTP, or write them into its state."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crosstower.errors import BundleError, ServeError
from crosstower.retrieval.index.open import IndexHeader
from crosstower.serving.bundle.bundle import RETRIEVAL
from crosstower.serving.bundle.manifest import read_manifest
from crosstower.serving.state.address import StateAddress
from crosstower.serving.state.state import State
from crosstower.serving.vectors.vector_file import ItemVectors
from crosstower.training.run import INDEX

TOKEN = "CROSSTOWER_WRITE_TOKEN"  # noqa: S105 - the name of a variable
_AT_ONCE, _BYTES = 1_000, 700_000  # per request, below the limits of a server
_SECONDS = 30.0


def push_to_server(found: ItemVectors, server: str) -> tuple[int, int]:
    """Send vectors to a server; return the numbers of those stored and of those without an item.

    The token comes from the environment variable CROSSTOWER_WRITE_TOKEN.

    Args:
        found: the vectors.
        server: its address, such as http://127.0.0.1:8000.

    Raises:
        ServeError: the server cannot be reached or refuses them; some may have been stored.

    """
    if not server.startswith(("http://", "https://")):
        raise ServeError(f"--server: expected http://HOST:PORT, got {server!r:.60}")
    stored = unknown = 0
    for part in _parts(found):
        response = _sent(f"{server.rstrip('/')}/v1/vectors", part, stored)
        stored, unknown = stored + response["vectors"], unknown + response["unknown"]
    return stored, unknown


def push_to_state(found: ItemVectors, state: str | StateAddress) -> int:
    """Write vectors into the state of a server, running or not; return their number.

    Vectors without an item are ignored by the server.

    Args:
        found: the vectors.
        state: address of the state.

    Raises:
        ServeError: there is no state, or no bundle in it.
        BundleError: the vectors belong to other weights, or have another width.

    """
    with State.open_existing(state) as opened:
        chosen = opened.bundle()
        if chosen is None:
            raise ServeError(f"{opened.place}: no server has served a bundle from it yet")
        _check(found, Path(chosen[1]))
        for first in range(0, len(found.ids), _AT_ONCE):
            part = range(first, min(first + _AT_ONCE, len(found.ids)))
            vectors = {found.ids[n]: found.vectors[n].astype("<f4").tobytes() for n in part}
            opened.put_vectors(vectors, weights=found.weights)
    return len(found.ids)


def _check(found: ItemVectors, bundle: Path) -> None:
    facts = read_manifest(bundle).retrieval
    own = None if facts is None else facts.weights
    if own != found.weights:
        raise BundleError(
            f"{bundle}: has the retrieval weights {own or 'none':.12}, the vectors belong to"
            f" {found.weights:.12}; export them with: crosstower vectors export RUN --since"
            f" {bundle}"
        )
    width = IndexHeader.read(bundle / RETRIEVAL / INDEX).width
    if len(found.ids) and width is not None and found.vectors.shape[1] != width:
        raise BundleError(
            f"{bundle}: has vectors of {width:,} numbers, these have {found.vectors.shape[1]:,}"
        )


def _parts(found: ItemVectors) -> Iterator[dict[str, Any]]:
    """Yield the bodies of requests."""
    width = max(found.vectors.shape[1], 1)
    size = max(min(_AT_ONCE, _BYTES // (24 * width + 600)), 1)
    for first in range(0, len(found.ids), size):
        rows = found.vectors[first : first + size].tolist()
        pairs = zip(found.ids[first : first + size], rows, strict=True)
        vectors = [{"id": item, "vector": vector} for item, vector in pairs]
        yield {"weights": found.weights, "vectors": vectors}


def _sent(url: str, body: Mapping[str, Any], stored: int) -> dict[str, int]:
    """Return the response to one request."""
    headers = {"Content-Type": "application/json"}
    if tokens := os.environ.get(TOKEN, "").split():
        headers["Authorization"] = f"Bearer {tokens[0]}"
    request = urllib.request.Request(  # noqa: S310 - http or https
        url, data=json.dumps(body).encode(), headers=headers, method="PUT"
    )
    after = f" ({stored:,} vectors were stored before)" if stored else ""
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise ServeError(f"{url}: {error.code}: {_detail(error)}{after}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServeError(f"{url}: no response of a server: {reason}{after}") from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (OSError, ValueError, LookupError, TypeError):
        return error.reason
