"""A live bundle: whatever its stages can answer."""

from __future__ import annotations

from dataclasses import dataclass

from crosstower.errors import QueryError
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.funnel import LiveFunnel
from crosstower.funnel.online.rows import LiveRows
from crosstower.ranking.ranker import Ranker
from crosstower.serving.bundle.bundle import Bundle


@dataclass(frozen=True)
class Live:
    """An open bundle that answers requests, one or several at once; not safe for several threads.

    `funnel` is there if the bundle retrieves, `rows` if it ranks.
    """

    bundle: Bundle
    blends: Blends
    funnel: LiveFunnel | None
    rows: LiveRows | None

    @staticmethod
    def open(bundle: Bundle) -> Live:
        """Load the models, and encode the items once.

        Raises:
            BundleError: a part of the bundle is damaged.

        """
        blends = _blends(bundle)
        funnel = LiveFunnel(bundle, blends) if bundle.retrieval is not None else None
        others = funnel.columns if funnel is not None else ()
        ranking = bundle.ranking
        rows = LiveRows(ranking, blends, others=others) if ranking is not None else None
        return Live(bundle, blends, funnel, rows)

    @property
    def needs_funnel(self) -> LiveFunnel:
        """The part that retrieves.

        Raises:
            QueryError: the bundle only ranks.

        """
        if self.funnel is None:
            raise QueryError(
                "this bundle only ranks rows that it is given (POST /v1/rank with rows); one with a"
                " retrieval run has items"
            )
        return self.funnel

    @property
    def needs_rows(self) -> LiveRows:
        """The part that ranks.

        Raises:
            QueryError: the bundle only retrieves.

        """
        if self.rows is None:
            raise QueryError("rank: this bundle only retrieves; it has no ranker")
        return self.rows


def _blends(bundle: Bundle) -> Blends:
    ranking = bundle.ranking
    if ranking is None:
        return Blends(None, {}, None, ())
    own = Ranker.open(ranking).blend
    kinds = ranking.recipe.schema_.kinds()
    return Blends(own, kinds, bundle.held_out(), bundle.manifest.blend_by)
