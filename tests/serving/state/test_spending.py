import random
from collections import defaultdict

from crosstower.serving.state.state import State


def test_totals_are_those_of_the_newest_period_over_all_workers_and_restarts(home) -> None:
    draw, costs = random.Random(0), defaultdict(float)
    with State.open(home) as one, State.open(home) as other:
        for _ in range(200):
            entry = (draw.choice("abc"), draw.randrange(3), draw.randrange(1, 9) / 8)
            costs[entry[:2]] += entry[2]
            draw.choice([one, other]).spend([entry])
            if entry[1] < max(p for c, p in costs if c == entry[0]):
                costs[entry[:2]] = 0.0  # a period that is over does not matter
    newest = {c: max(p for k, p in costs if k == c) for c in "abc"}
    wanted = [(c, newest[c], costs[c, newest[c]]) for c in "abc"]
    with State.open(home) as again:
        assert sorted(again.spend([])) == wanted
