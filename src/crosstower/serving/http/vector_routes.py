"""The route of item vectors, recomputed for the same query tower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter, Depends
from pydantic import ConfigDict, Field, FiniteFloat

from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.access import Needs, TokenFirstRoute, Worker, refuse_above
from crosstower.serving.http.problems import REFUSALS, ApiError, documented
from crosstower.serving.http.schemas import Id
from crosstower.serving.state.item_log import LARGEST
from crosstower.values.ids import Id as ItemId

vector_routes = APIRouter(prefix="/v1", tags=["write"], route_class=TokenFirstRoute)


class ItemVector(FrozenModel):
    """A vector of an item."""

    id: Id
    vector: tuple[FiniteFloat, ...] = Field(min_length=1, max_length=65_536)


class VectorsRequest(FrozenModel):
    """New vectors of items."""

    weights: str = Field(
        min_length=1,
        max_length=128,
        description="SHA-256 of the retrieval weights that they belong to, from GET /v1/model.",
    )
    vectors: tuple[ItemVector, ...] = Field(min_length=1)


class VectorsResponse(FrozenModel):
    """Vectors that were written."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    sequence: int = Field(description="Number of the last change; it only grows.")
    vectors: int
    unknown: int = Field(description="Number of vectors without an item, which were left out.")


@vector_routes.put(
    "/vectors", responses=REFUSALS | documented(409, 507), dependencies=[Depends(Needs("write"))]
)
async def put_vectors(body: VectorsRequest, service: Worker) -> VectorsResponse:
    """Replace vectors of items, until they are put or deleted; searches use them immediately."""
    refuse_above("vectors", len(body.vectors), service.settings.limits.items, " at a time")
    service.check_room()

    def check(main: Live) -> tuple[dict[ItemId, bytes], int]:
        lives = [main, *(served.live for served in service.arms)]
        return checked_vectors(_of_weights(lives, body.weights), body.vectors)

    found, unknown = await service.run(check)
    sequence = await service.write(lambda state: state.put_vectors(found, weights=body.weights))
    await service.run(lambda _live: None)  # applies them
    service.metrics.vectors_written(len(found))
    return VectorsResponse(sequence=sequence, vectors=len(found), unknown=unknown)


def _of_weights(lives: Sequence[Live], weights: str) -> Live:
    """Return the open bundle with these retrieval weights.

    Raises:
        ApiError: there is none.
        QueryError: the main bundle only ranks.

    """
    _ = lives[0].needs_funnel
    for live in lives:
        if live.weights == weights:
            return live
    own = lives[0].weights
    raise ApiError(
        409,
        f"body.weights: vectors of the model {weights:.12}, this server has the model"
        f" {own or '':.12}; vectors of two models cannot be compared: compute them with the bundle"
        " that is served",
        reason="conflict",
    )


def checked_vectors(live: Live, vectors: Sequence[ItemVector]) -> tuple[dict[ItemId, bytes], int]:
    """Return vectors as little-endian float32 by id, and the number of ids that are not items.

    Of an id that is given twice, the last vector counts.

    Raises:
        ApiError: a vector has another width, or a number that is too large.
        QueryError: an id is a text although all ids are integers.

    """
    catalogue, width = live.needs_funnel.catalogue, live.needs_funnel.retriever.model.dim
    found: dict[ItemId, bytes] = {}
    for number, one in enumerate(vectors):
        where = f"body.vectors.{number}"
        if len(one.vector) != width:
            detail = f"{where}.vector: expected {width:,} numbers, got {len(one.vector):,}"
            raise ApiError(422, detail, reason="invalid")
        values = np.array(one.vector)
        if np.abs(values).max() > LARGEST:
            detail = f"{where}.vector: expected numbers from -{LARGEST:g} to {LARGEST:g}"
            raise ApiError(422, detail, reason="invalid")
        found[catalogue.checked_id(f"{where}.id", one.id)] = values.astype("<f4").tobytes()
    places = catalogue.items.places_of(list(found))
    known = {item: found[item] for item, p in zip(list(found), places, strict=True) if p >= 0}
    return known, len(found) - len(known)
