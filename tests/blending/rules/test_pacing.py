import numpy as np
import pytest
from scipy.integrate import solve_ivp

from crosstower.blending.rules.pacing import Campaign, Ledger

DAY = 86_400.0


def run(
    ledger: Ledger, lists: int, *, budget: float, cost: float, start: float = 0.0
) -> np.ndarray:
    """Spending after each of equally distant lists of a day that all may show the campaign."""
    spent = np.empty(lists)
    for number in range(lists):
        now = start + DAY * (number + 0.5) / lists
        if ledger.left("a", budget=budget, period=DAY, now=now) >= cost:
            ledger.charge("a", cost)
        spent[number] = ledger.spent("a")
    return spent


@pytest.mark.parametrize("gain", [1.2, 3.0, 20.0])
def test_spending_follows_a_straight_line_and_ends_within_the_budget(gain):
    budget, lists = 1_000.0, 20_000
    spent = run(Ledger(), lists, budget=budget, cost=gain * budget / lists)
    line = budget * (np.arange(lists) + 0.5) / lists
    assert spent[-1] <= budget
    assert spent[-1] >= 0.98 * budget
    assert np.abs(spent - line).max() <= 0.06 * budget


def test_the_loop_is_that_of_its_differential_equation():
    """e'' + G·20·e' + G·100·e = 0 with e(0) = 0 and e'(0) = 1, as nothing is spent at first."""
    gain, lists, campaign = 3.0, 200_000, Campaign(0)
    error = np.empty(lists)
    for number in range(lists):
        campaign.control((number + 1) / lists, 1.0)
        campaign.spent += gain * campaign.share / lists
        error[number] = (number + 1) / lists - campaign.spent
    times = np.linspace(0.0, 1.0, 201)
    exact = solve_ivp(
        lambda _, y: [y[1], -gain * 20 * y[1] - gain * 100 * y[0]],
        (0, 1), [0.0, 1.0], t_eval=times, rtol=1e-9, atol=1e-12,
    ).y[0]  # fmt: skip
    found = np.interp(times, (np.arange(lists) + 1) / lists, error)
    np.testing.assert_allclose(found[1:], exact[1:], atol=2e-4)


def test_a_campaign_with_too_few_lists_is_in_all_of_them_and_does_not_wind_up():
    ledger = Ledger()
    spent = run(ledger, 1_000, budget=1_000.0, cost=0.3)
    assert spent[-1] >= 0.3 * 950
    # The next day has plenty of lists: it starts anew, without a burst.
    second = run(ledger, 20_000, budget=1_000.0, cost=0.5, start=DAY)
    line = 1_000.0 * (np.arange(20_000) + 0.5) / 20_000
    assert np.abs(second - line).max() <= 60.0


def test_a_pause_is_caught_up_within_the_budget():
    ledger = Ledger()
    run(ledger, 1, budget=100.0, cost=1.0)
    late = [DAY * (0.5 + 0.5 * i / 5_000) for i in range(5_000)]
    for now in late:
        if ledger.left("a", budget=100.0, period=DAY, now=now) >= 1.0:
            ledger.charge("a", 1.0)
    assert 97.0 <= ledger.spent("a") <= 100.0


def test_no_list_costs_more_than_what_is_left():
    ledger, shown = Ledger(), 0
    for now in np.linspace(0, DAY - 1, 5_000):
        left = ledger.left("a", budget=10.0, period=DAY, now=float(now))
        assert left <= 10.0 - ledger.spent("a") + 1e-9
        if left >= 3.0:
            ledger.charge("a", 3.0)
            shown += 1
    assert shown == 3


def test_workers_share_a_budget_through_their_totals():
    one, other = Ledger(), Ledger()
    for ledger, cost in ((one, 2.0), (other, 5.0)):
        ledger.left("a", budget=100.0, period=DAY, now=0.0)
        ledger.charge("a", cost)
    saved = one.unsaved()
    assert saved == [("a", 0, 2.0)]
    one.charge("a", 1.0)  # while it is saved
    one.load([("a", 0, 7.0)], saved=saved)
    assert one.spent("a") == 8.0
    assert one.unsaved() == [("a", 0, 1.0)]
    one.load([("a", 0, 9.0)])  # nothing was saved: the charge is kept
    assert (one.spent("a"), one.unsaved()) == (10.0, [("a", 0, 1.0)])
    one.load([("a", 1, 4.0), ("b", 1, 3.0)])  # a later period of another worker
    assert (one.spent("a"), one.spent("b")) == (4.0, 3.0)
    one.load([("a", 0, 9.0)])  # and an old one
    assert one.spent("a") == 4.0


def test_a_refund_takes_back_what_was_not_shown():
    ledger, plain = Ledger(), Ledger()
    for each in (ledger, plain):
        for hour in range(1, 4):
            each.left("a", budget=100.0, period=DAY, now=hour * 3_600.0)
    ledger.charge("a", 5.0)
    charges = [ledger.charge_of("a", 2.0), ledger.charge_of("a", 3.0)]
    assert charges == [("a", 0, 2.0), ("a", 0, 3.0)]
    ledger.refund(charges)
    assert (ledger.spent("a"), ledger.unsaved()) == (0.0, [])
    assert ledger.left("a", budget=100.0, period=DAY, now=2e4) == plain.left(
        "a", budget=100.0, period=DAY, now=2e4
    )
    plain.charge("a", 5.0)
    plain.refund(charges[:1], shown={"a"})
    assert (plain.spent("a"), plain.unsaved()) == (3.0, [("a", 0, 3.0)])
    kept = [campaign.credit for campaign in plain._campaigns.values()]
    assert kept == [campaign.credit - 1.0 for campaign in ledger._campaigns.values()]


def test_a_refund_after_its_period_is_void():
    ledger = Ledger()
    ledger.left("a", budget=9.0, period=DAY, now=0.0)
    ledger.charge("a", 5.0)
    charge = ledger.charge_of("a", 5.0)
    ledger.left("a", budget=9.0, period=DAY, now=DAY + 1.0)
    ledger.refund([charge, ("b", 0, 1.0)])
    assert (ledger.spent("a"), ledger.spent("b")) == (0.0, 0.0)
