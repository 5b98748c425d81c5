"""What the short demo prints: revenue with intervals, verdicts in words, users and their tastes."""

import numpy as np
import pytest

from crosstower.cli.demo.homes_demo import print_users, print_value
from crosstower.cli.demo.homes_value import METRIC, STAGES, HomesValue
from crosstower.data.datasets.worlds.holiday_homes import travellers
from crosstower.funnel.report import lifts_of, stages_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def value() -> HomesValue:
    noise = np.random.default_rng(0).normal(size=40)
    values = {name: 100.0 * (i + 1) + noise for i, name in enumerate(STAGES)}
    metrics = {name: {METRIC: worth} for name, worth in values.items()}
    users = travellers()["user_id"][:40].to_list()
    return HomesValue(users, values, np.full(40, 1_000.0), stages_of(metrics), lifts_of(metrics))


def test_the_value_is_shown_with_its_interval_and_in_words(
    value: HomesValue, capsys: Capture
) -> None:
    print_value(value)
    out = capsys.readouterr().out
    rows = {line.strip().split("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["Popular homes"][-2:] == ["10", "%"]
    assert rows["Best possible list"][-3:] == ["1000", "100", "%"]
    for subject in ("Retrieval", "Ranking", "Blending"):
        assert f"{subject} lifts the true value of the first 10 from" in out
    assert max(map(len, out.splitlines())) <= 100


def test_users_are_shown_beside_their_true_tastes(value: HomesValue, capsys: Capture) -> None:
    unknown = travellers()["user_id"][-1]
    print_users(value, [unknown, *value.users[:7]])
    out = capsys.readouterr().out
    user = travellers().row(0, named=True)
    line = next(line for line in out.splitlines() if line.strip().startswith(user["user_id"]))
    assert f"{user['favourite']}, then {user['second']}; {user['wanted']}" in line
    assert line.split()[-4:] == ["100", "200", "300", "400"]
    assert unknown not in out
    assert value.users[4] in out
    assert value.users[5] not in out
    assert max(map(len, out.splitlines())) <= 100
