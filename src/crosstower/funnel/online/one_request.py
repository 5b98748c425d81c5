"""A request on its way through the stages, together with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.blending.blender import FittedBlend
from crosstower.data.encoders.row import EncodedRow
from crosstower.errors import CrosstowerError
from crosstower.funnel.online.answer import FunnelRequest, Ranked
from crosstower.ranking.scorer import RawArrays, Scores
from crosstower.retrieval.queries import NO_ITEMS, KnownUser
from crosstower.retrieval.unknown_user import unknown_words
from crosstower.values.arrays import Indices


@dataclass
class OneRequest:
    """What is known of a request so far; with an `error` no stage looks at it again.

    `size` is the number of candidates, `row` the query as the retriever reads it (None where
    popular items stand for the retrieved ones), `excluded` places to leave out. `raw` is the query
    as the ranker reads it. Of the candidates `found`, which the ranker can read, there are `logits`
    `[C]` by task, then `scores`.
    """

    asked: FunnelRequest
    known: KnownUser | None = None
    size: int = 0
    row: EncodedRow | None = None
    excluded: Indices = field(default_factory=lambda: NO_ITEMS)
    found: Ranked | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any])
    blend: FittedBlend | None = None
    logits: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    arrays: RawArrays = field(default_factory=lambda: RawArrays({}, {}))
    scores: Scores | None = None
    milliseconds: dict[str, float] = field(default_factory=dict[str, float])
    error: CrosstowerError | None = None

    @property
    def history(self) -> Indices:
        """Indices of what the user has had."""
        return NO_ITEMS if self.known is None else self.known.history

    @property
    def candidates(self) -> Ranked:
        """What was found; nothing before that."""
        return self.found or Ranked(NO_ITEMS, np.empty(0))

    def answer(self) -> Ranked | CrosstowerError:
        """Return the answer, or why there is none."""
        found = replace(self.candidates, milliseconds=self.milliseconds, notices=self.notices)
        return self.error or found

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the caller, such as an unknown user."""
        if self.asked.user is None or self.known is not None:
            return ()
        popular = self.found is not None and self.found.fallback is not None
        return (unknown_words(self.asked.user, popular=popular),)


def each(requests: Iterable[OneRequest], step: Callable[[OneRequest], None]) -> None:
    """Take requests one step further; one that fails does not stop the others."""
    for request in requests:
        if request.error is None:
            try:
                step(request)
            except CrosstowerError as error:
                request.error = error


def fail(requests: Iterable[OneRequest], error: CrosstowerError) -> None:
    """Let requests have an error."""
    for request in requests:
        request.error = error
