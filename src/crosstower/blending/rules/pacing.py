"""Budget pacing: a PI controller per campaign holds its spending on a straight line over a period.

The controlled variable is the share of lists in which a campaign may fill slots. Its error is the
spending that is behind the line, as a share of the budget; time counts in periods.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

_PROPORTIONAL, _INTEGRAL = 20.0, 100.0
"""Gains. If showing a campaign in every list would spend G budgets per period, the error obeys
e'' + G·20·e' + G·100·e = 0: without overshoot for G of 1 and more."""


Charge = tuple[str, int, float]
"""Key of a campaign, number of the period since 1970, and cost."""


@dataclass
class Campaign:
    """Spending of a campaign in its period; `number` counts the periods since 1970."""

    number: int
    spent: float = 0.0
    unsaved: float = 0.0
    integral: float = 0.0
    share: float = 0.0
    credit: float = 0.0
    seen: float = 0.0  # the part of the period that was over at the last list

    def control(self, elapsed: float, budget: float) -> None:
        """Update the share of lists.

        Args:
            elapsed: part of the period that is over, in [0, 1].
            budget: of the period.

        """
        error = elapsed - self.spent / budget
        step = max(elapsed - self.seen, 0.0)
        self.seen = max(elapsed, self.seen)
        wanted = _PROPORTIONAL * error + _INTEGRAL * (self.integral + error * step)
        self.share = min(max(wanted, 0.0), 1.0)
        if self.share == wanted or (wanted > 1.0) != (error > 0.0):
            self.integral += error * step  # not while the share is at its bound: no wind-up


class Ledger:
    """Spending per campaign, from list to list.

    A campaign may fill the slots of a share of all lists, evenly: the share of each list is added
    to a credit, and a list that shows the campaign takes 1 from it. No list costs more than what is
    left of the budget.
    """

    def __init__(self) -> None:
        self._campaigns: dict[str, Campaign] = {}

    def left(
        self, key: str, *, budget: float, period: float, now: float, preview: bool = False
    ) -> float:
        """Return the budget of a campaign for the next list, 0 if it must wait.

        Args:
            key: of the campaign.
            budget: per period.
            period: in seconds; periods begin at multiples of it since 1970-01-01 UTC.
            now: seconds since 1970-01-01 UTC.
            preview: do not count the list.

        """
        campaign = self._at(key, int(now // period))
        campaign.control((now % period) / period, budget)
        credit = min(campaign.credit + campaign.share, 2.0)
        campaign.credit = campaign.credit if preview else credit
        due = credit >= 1.0 - 1e-9
        return max(budget - campaign.spent, 0.0) if due else 0.0

    def charge(self, key: str, cost: float) -> None:
        """Record that a list has shown items of a campaign, at a cost in all."""
        campaign = self._campaigns[key]
        campaign.credit -= 1.0
        campaign.spent += cost
        campaign.unsaved += cost

    def charge_of(self, key: str, cost: float) -> Charge:
        """Return a part of the last charge of a campaign, for `refund`."""
        return key, self._campaigns[key].number, cost

    def refund(self, charges: Iterable[Charge], *, shown: Container[str] = ()) -> None:
        """Take back parts of the charges of one list, for items that were not shown after all.

        Args:
            charges: of these items.
            shown: keys of campaigns with another item in the list, for which it still counts.

        """
        credited = set[str]()
        for key, number, cost in charges:
            campaign = self._campaigns.get(key)
            if campaign is None or campaign.number != number:
                continue  # its period is over
            campaign.spent -= cost
            campaign.unsaved -= cost
            if key not in shown and key not in credited:
                campaign.credit += 1.0
                credited.add(key)

    def spent(self, key: str) -> float:
        """Return the spending of a campaign in its period."""
        return self._campaigns[key].spent if key in self._campaigns else 0.0

    def unsaved(self) -> list[Charge]:
        """Return the costs that no `load` has confirmed yet."""
        return [(k, c.number, c.unsaved) for k, c in self._campaigns.items() if c.unsaved]

    def load(self, totals: Iterable[Charge], *, saved: Iterable[Charge] = ()) -> None:
        """Take the spending of all workers.

        Args:
            totals: of the newest period of each campaign.
            saved: costs of `unsaved` that the totals include.

        """
        for key, number, cost in saved:
            campaign = self._at(key, number)
            if campaign.number == number:
                campaign.unsaved -= cost
        for key, number, spent in totals:
            campaign = self._at(key, number)
            if campaign.number == number:
                campaign.spent = spent + campaign.unsaved

    def _at(self, key: str, number: int) -> Campaign:
        """Return a campaign in a period, which begins without spending."""
        campaign = self._campaigns.get(key)
        if campaign is None or campaign.number < number:
            campaign = self._campaigns[key] = Campaign(number)
        return campaign
