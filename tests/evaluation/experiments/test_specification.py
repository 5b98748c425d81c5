from datetime import UTC, datetime

import pytest

from crosstower.errors import RecipeError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_yaml

ARMS = "{control: {share: 0.5}, likes: {share: 0.4, request: {blend: {weights: {like: 2}}}}}"
ONE = f"""
name: likes
start: 2026-11-01
arms: {ARMS}
metrics: {{clicks: {{event: click}}, ctr: {{event: click, per: impression}}}}
"""


def parsed(*texts: str) -> Experiments:
    return validate(Experiments, {"experiments": [read_yaml(text) for text in texts]})


def test_defaults_follow_from_the_order_of_the_file() -> None:
    one = parsed(ONE + "holdout: 0.1").experiments[0]
    assert (one.control_arm, one.primary_metric) == ("control", "clicks")
    assert one.shares == {"control": 0.5, "likes": 0.4, "holdout": 0.1}
    assert one.start == datetime(2026, 11, 1, tzinfo=UTC)
    assert one.arms["likes"].request == {"blend": {"weights": {"like": 2}}}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("control: contrl", "control: no 'contrl'; did you mean 'control'.; allowed: control"),
        ("primary: click", "primary: no 'click'; did you mean 'clicks'"),
        ("holdout: 0.2", r"shares and holdout that sum to at most 1 and above 0, got 1\.1"),
        ("end: 2026-10-01", "end: expected a time after 2026-11-01"),
        ("start: 17", "start: expected a date or time .* got 17"),
        ("salts: x", "unknown key; did you mean 'salt'"),
        ("name: a b", "name: .* got 'a b'"),
        ("arms: {a: {share: 1, interleave: [b, c]}, b: {share: 0}}", "interleave: no 'c'"),
        ("arms: {a: {share: 1}, b: {share: 0, interleave: [a, a]}}", "two different arms, got 'a'"),
        (
            (
                "arms: {a: {share: 1}, b: {share: 0, interleave: [a, c]},"
                " c: {share: 0, interleave: [a, b]}}"
            ),
            "'c' is interleaved itself",
        ),
        (
            "arms: {b: {share: 1, interleave: [a, c]}, a: {share: 0}, c: {share: 0}}",
            "control: 'b' is interleaved; choose an arm with a request",
        ),
        ("arms: {a: {share: 1}, holdout: {share: 0}}", "'holdout' is reserved"),
        (
            "arms: {a: {share: 1}, b: {share: 0, interleave: [a, a], request: {candidates: 1}}}",
            "such an arm sets no request",
        ),
        (
            "arms: {a: {share: 1}, b: {share: 0, interleave: [a, a], bundle: other}}",
            "such an arm sets no bundle",
        ),
        ("metrics: {m: {event: e, of: any, per: f}}", "per: not allowed with of: any"),
        ("metrics: {m: {event: e, of: sum}}", "expected 'count', 'value' or 'any', got 'sum'"),
    ],
)
def test_mistakes_are_named(more: str, words: str) -> None:
    plain = read_yaml(ONE) | read_yaml(more)
    with pytest.raises(RecipeError, match=words):
        validate(Experiments, {"experiments": [plain]})
