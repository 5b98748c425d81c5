"""What a report says in words."""

import math

import pytest

from crosstower.evaluation.experiments.interleaving import Preference
from crosstower.evaluation.experiments.lifts import Lift, Mean
from crosstower.evaluation.experiments.report import ArmComparison, InterleavedArm, SampleSize
from crosstower.evaluation.experiments.sample_ratio import sample_ratio
from crosstower.evaluation.experiments.verdicts import (
    guardrail_words,
    mismatch_words,
    preference_words,
    primary_words,
)

MEAN = Mean(1.0, 0.01, 100, 50)


def comparison(low: float, high: float, **more: object) -> ArmComparison:
    lift = Lift(MEAN, MEAN, (low + high) / 2, 0.01, low, high, 0.5)
    return ArmComparison("clicks", "likes", lift, **more)  # type: ignore[arg-type]


def test_a_difference_is_stated_with_its_interval() -> None:
    words = primary_words(comparison(0.01, 0.07), "control", 0.975, None)
    assert words == (
        "likes is better than control: clicks +4.0 % (97.5 % interval +1.0 % to +7.0 %)."
    )


def test_no_difference_yet_says_how_many_users_are_needed() -> None:
    size = SampleSize("likes", 1_000, 5_000, 4.0)
    words = primary_words(comparison(-0.01, 0.07), "control", 0.95, size)
    assert words.startswith("likes: no difference from control shown yet: clicks +3.0 %")
    assert words.endswith("About 5,000 users are needed, 1,000 are in.")
    enough = SampleSize("likes", 6_000, 5_000, 0.0)
    assert "needed" not in primary_words(comparison(-0.01, 0.07), "control", 0.95, enough)
    none = primary_words(comparison(math.nan, math.nan), "control", 0.95, None)
    assert "no verdict yet in clicks: fewer than 30 users per arm" in none


@pytest.mark.parametrize(
    ("low", "high", "lower", "state"),
    [
        (-0.005, 0.02, False, "holds"),
        (-0.02, 0.02, False, "is undecided"),
        (-0.05, -0.02, False, "is broken"),
        (-0.02, 0.005, True, "holds"),
        (0.02, 0.05, True, "is broken"),
        (math.nan, math.nan, False, "is undecided, there are too few users"),
    ],
)
def test_a_guardrail_holds_if_a_larger_loss_is_ruled_out(
    low: float, high: float, lower: bool, state: str
) -> None:
    words = guardrail_words(comparison(low, high, lower_is_better=lower, guardrail=0.01), 0.95)
    expected = f"Guardrail clicks of likes (at most 1.0 % loss) {state}"
    assert words.removeprefix(expected)[0] in ":."


def test_a_mismatch_names_each_arm() -> None:
    words = mismatch_words(["a", "b"], sample_ratio([6_000, 4_000], [0.5, 0.5]))
    assert "a has 60.0 % instead of 50.0 %, b has 40.0 % instead of 50.0 % of the users" in words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.1, 0.3, "mixed: users prefer b to a: 30 users click more on b, 20 on a (lead"),
        (-0.3, -0.1, "mixed: users prefer a to b: 30 users"),
        (-0.1, 0.3, "mixed: no preference between a and b shown yet: 30 users"),
        (math.nan, math.nan, "mixed: no verdict yet: 30 users click more on b, 20 on a."),
    ],
)
def test_a_preference_names_the_winner(low: float, high: float, words: str) -> None:
    found = Preference((low + high) / 2, 0.05, low, high, 0.1, (20, 30), 5)
    assert preference_words(InterleavedArm("mixed", "a", "b", found), 0.95).startswith(words)
