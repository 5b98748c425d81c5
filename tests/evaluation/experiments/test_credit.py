"""Clicks on interleaved lists: credited by impressions, once, and never guessed."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.evaluation.experiments.interleaving import preference, team_draft
from crosstower.evaluation.experiments.specification import Experiment

from ...fixtures.experiment_log import START, experiment

MIXED = {
    "old": {"share": 0.0},
    "new": {"share": 0.0, "request": {"candidates": 5}},
    "mixed": {"share": 1.0, "interleave": ["old", "new"]},
}


def interleaved() -> Experiment:
    return experiment(arms=MIXED, holdout=0.0, metrics={}, segments=[], covariate_days=0)


def log(users: int = 200, *, teams_on_clicks: bool = False) -> tuple[pl.DataFrame, np.ndarray]:
    """Users see old (items 0-9) and new (10-19) and like new items more; also their clicks."""
    random, rows, clicks = np.random.default_rng(0), [], np.zeros((users, 2))
    for user in range(users):
        for visit in range(2):
            request = f"{user}-{visit}"
            found = team_draft(range(10), range(10, 20), 6, request_id=request)
            for rank, (item, team) in enumerate(zip(found.items, found.teams, strict=True)):
                event = {
                    "user": user, "request_id": request, "item_id": item,
                    "time": START + timedelta(minutes=visit, seconds=rank),
                    "attributes.experiment": "likes", "attributes.arm": "mixed",
                }  # fmt: skip
                name = ["old", "new"][team]
                rows.append(event | {"type": "impression", "attributes.team": name})
                if random.random() < (0.1, 0.2)[team]:
                    clicks[user, team] += 1
                    own = name if teams_on_clicks else None
                    rows += [event | {"type": "click", "attributes.team": own}] * 2  # twice
    return pl.DataFrame(rows, infer_schema_length=None), clicks


@pytest.mark.parametrize("teams_on_clicks", [False, True])
def test_clicks_count_once_for_the_team_of_the_item(teams_on_clicks: bool) -> None:
    events, clicks = log(teams_on_clicks=teams_on_clicks)
    report = experiment_report(events, interleaved())
    (found,) = report.interleaved
    assert (found.arm, found.first, found.second) == ("mixed", "old", "new")
    expected = preference(clicks[:, 0], clicks[:, 1])
    assert found.preference.wins == expected.wins
    assert found.preference.ties == expected.ties
    assert found.preference.estimate == pytest.approx(expected.estimate)
    assert report.notes == ()
    assert report.verdicts[0].startswith("mixed: users prefer new to old")
    assert (report.lifts, report.ratio, report.primary) == ((), None, None)


def test_clicks_without_an_impression_are_noted_and_not_credited() -> None:
    events, clicks = log(20)
    lost = events.with_columns(
        request_id=pl.when(pl.col("type") == "impression").then("request_id")
    )
    report = experiment_report(lost, interleaved())
    assert report.interleaved[0].preference.users == 0
    total = 2 * int(clicks.sum())
    assert f"mixed: {total:,} of {total:,} clicks have no impression with a team" in report.notes[0]
