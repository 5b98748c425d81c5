"""An open bundle that serves requests: its parts assembled as an online funnel."""

from __future__ import annotations

from dataclasses import dataclass

from crosstower.blending.exploration.explore import Exploration
from crosstower.blending.rules.pacing import Ledger
from crosstower.errors import QueryError
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.counters import OnlineCounters
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.row_ranker import RowRanker
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.bundle.forms import EAGER


@dataclass(frozen=True)
class Live:
    """An open bundle that serves requests, one or several at once; not safe for several threads.

    `funnel` is None if the bundle only ranks, `rows` (a ranker of rows that a request gives) if it
    only retrieves. `form` names the form in which the funnel's ranker runs. `explore` is the
    exploration of requests that have none of their own. `counters` are the counts of events that
    the ranker reads, None without a ranker.
    """

    bundle: Bundle
    version: str
    blends: Blends
    funnel: OnlineFunnel | None
    rows: RowRanker | None
    form: str = EAGER
    explore: Exploration | None = None
    counters: OnlineCounters | None = None

    @staticmethod
    def open(bundle: Bundle, ledger: Ledger | None = None) -> Live:
        """Load the models, and encode the items once.

        Args:
            bundle: to serve.
            ledger: spending of the campaigns of rules so far.

        Raises:
            BundleError: a part of the bundle is damaged.

        """
        blends, form, ranking = _blends(bundle), EAGER, bundle.ranking
        counters = None if ranking is None else OnlineCounters.of(ranking)
        rules, ledger, size = bundle.rules, ledger or Ledger(), bundle.manifest.candidates
        if bundle.retrieval is None:
            funnel, others = None, ()
        elif counters is None:
            retriever = bundle.retriever()
            funnel = OnlineFunnel(retriever, candidates=size, rules=rules, ledger=ledger)
            others = funnel.columns
        else:
            parts = bundle.funnel()
            scorer, form = bundle.fastest(parts.scorer)
            ranker = OnlineRanker(parts.rows, scorer, blends, counters)
            funnel = OnlineFunnel(
                parts.retriever, ranker, candidates=size, rules=rules, ledger=ledger
            )
            others = funnel.columns
        rows = None
        if counters is not None:
            rows = RowRanker(
                bundle.ranker, blends, counters, others=others, rules=rules, ledger=ledger
            )
        return Live(bundle, bundle.version, blends, funnel, rows, form, bundle.explore, counters)

    @property
    def weights(self) -> str | None:
        """SHA-256 of the retrieval model's weights; None if the bundle only ranks."""
        facts = self.bundle.manifest.retrieval
        return None if facts is None else facts.weights

    @property
    def needs_funnel(self) -> OnlineFunnel:
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
    def needs_rows(self) -> RowRanker:
        """The part that ranks.

        Raises:
            QueryError: the bundle only retrieves.

        """
        if self.rows is None:
            raise QueryError("rank: this bundle only retrieves; it has no ranker")
        return self.rows


def _blends(bundle: Bundle) -> Blends:
    """Return the blends that requests can select, fitted on the predictions in the bundle."""
    if bundle.ranking is None:
        return Blends(None, {}, None, ())
    ranker = bundle.ranker
    kinds = ranker.run.recipe.schema_.kinds()
    return Blends(ranker.blend, kinds, bundle.held_out(), bundle.manifest.blend_by)
