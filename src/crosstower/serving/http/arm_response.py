"""The response to a request of an experiment: one list, or two that are interleaved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstower.blending.rules.pacing import Charge
from crosstower.evaluation.experiments.interleaving import team_draft
from crosstower.serving.http.schemas import RecommendRequest
from crosstower.serving.http.spending import Refund

_OF_ONE_LIST = ("stages", "explain")  # parts of a response that cannot be merged


ItemCharge = tuple[Any, Charge]
"""Id of an item, and its cost to a campaign."""


@dataclass(frozen=True)
class Treatment:
    """The requests of an arm: one, or two whose lists are interleaved.

    Args:
        experiment: name.
        arm: name.
        requests: one, or two if the arm is interleaved.
        bundles: path of the bundle that answers each request; None for the main one.
        teams: names of the interleaved arms.

    """

    experiment: str
    arm: str
    requests: tuple[RecommendRequest, ...]
    bundles: tuple[str | None, ...]
    teams: tuple[str, ...] = ()

    def response(self, lists: Sequence[dict[str, Any]], request_id: str) -> dict[str, Any]:
        """Return the response: the only list, or both as one, with the arm.

        Args:
            lists: response to each request.
            request_id: seed of the interleaving.

        """
        found = lists[0] if len(lists) == 1 else self._interleaved(lists, request_id)
        return found | {"experiment": self.experiment, "arm": self.arm}

    def refunds(
        self, response: Mapping[str, Any], charges: Sequence[Sequence[ItemCharge]]
    ) -> list[Refund]:
        """Return the refunds per list: the charges of its items that are not shown.

        Args:
            response: of both lists.
            charges: of each list.

        """
        if not self.teams:
            return []
        found: list[Refund] = []
        for team, mine in zip(self.teams, charges, strict=True):
            shown = {item["item_id"] for item in response["items"] if item["team"] == team}
            kept = frozenset(charge[0] for item, charge in mine if item in shown)
            found.append(([charge for item, charge in mine if item not in shown], kept))
        return [refund for refund in found if refund[0]]

    def _interleaved(self, lists: Sequence[dict[str, Any]], request_id: str) -> dict[str, Any]:
        items = [{item["item_id"]: item for item in one["items"]} for one in lists]
        drafted = team_draft(
            list(items[0]), list(items[1]), self.requests[0].k, request_id=request_id
        )
        picked = zip(drafted.items, drafted.teams, strict=True)
        merged = [
            items[team][item] | {"rank": rank, "team": self.teams[team]}
            for rank, (item, team) in enumerate(picked, 1)
        ]
        versions = dict.fromkeys(one["version"] for one in lists)
        notices = [notice for one in lists for notice in one["notices"]]
        hidden = [name for name in _OF_ONE_LIST if lists[0].get(name) is not None]
        notices += [f"{name}: not returned for interleaved lists" for name in hidden]
        return lists[0] | {
            "version": "+".join(versions),
            "items": merged,
            "notices": list(dict.fromkeys(notices)),
            **dict.fromkeys(hidden),
        }
