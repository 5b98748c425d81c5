import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.calibration import Calibration, check_calibration
from crosstower.recipe.validation import validate

KINDS = {"like": "binary", "comment": "binary", "watch_time": "regression"}


def test_a_task_has_the_common_method_or_its_own():
    section = Calibration(method="platt", tasks={"watch_time": "isotonic", "comment": "none"})
    assert [section.method_of(t) for t in KINDS] == ["platt", "none", "isotonic"]
    assert [Calibration().method_of(t) for t in KINDS] == ["none"] * 3


@pytest.mark.parametrize(
    ("plain", "active"),
    [
        ({}, False),
        ({"tasks": {"like": "none"}}, False),
        ({"negative_sampling_rate": {"like": 1.0}}, False),
        ({"method": "platt"}, True),
        ({"tasks": {"like": "isotonic"}}, True),
        ({"negative_sampling_rate": {"like": 0.1}}, True),
    ],
)
def test_it_is_active_where_a_prediction_may_change(plain, active):
    assert validate(Calibration, plain).active is active


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"method": "plat"}, r"^calibration\.method: .*'platt', 'isotonic' or 'none', got 'plat'"),
        ({"tasks": {"like": 3}}, r"^calibration\.tasks\.like: .*got 3"),
        (
            {"negative_sampling_rate": {"like": 0}},
            r"negative_sampling_rate\.like: .*greater than 0, got 0",
        ),
        (
            {"negative_sampling_rate": {"like": 1.5}},
            r"negative_sampling_rate\.like: .*equal to 1, got 1\.5",
        ),
        ({"methods": "platt"}, "methods: unknown key; did you mean 'method'"),
        ({"by": "content_type"}, "by: 'content_type' has no effect without a method; set platt"),
        (
            {
                "by": "content_type",
                "tasks": {"like": "none"},
                "negative_sampling_rate": {"like": 0.5},
            },
            "by: 'content_type' has no effect",
        ),
    ],
)
def test_a_wrong_value_is_named(plain, message):
    with pytest.raises(RecipeError, match=message):
        validate(Calibration, plain, where="calibration")


def test_a_section_that_suits_the_tasks_passes():
    section = Calibration(
        method="platt",
        by="content_type",
        tasks={"watch_time": "none"},
        negative_sampling_rate={"like": 0.1},
    )
    check_calibration(section, KINDS)
    check_calibration(Calibration(), {})


def test_all_that_does_not_suit_the_tasks_is_told_at_once():
    section = Calibration(
        tasks={"likes": "platt"},
        by="content_type",
        negative_sampling_rate={"watch_time": 0.5, "x": 0.1},
    )
    with pytest.raises(RecipeError) as caught:
        check_calibration(section, KINDS)
    assert str(caught.value).splitlines() == [
        (
            "calibration.tasks.likes: no such task; did you mean 'like'?; the schema has: like,"
            " comment, watch_time"
        ),
        (
            "calibration.negative_sampling_rate.x: no such task; the schema has: like, comment,"
            " watch_time"
        ),
        (
            "calibration.negative_sampling_rate.watch_time: a regression task has no negatives;"
            " remove it"
        ),
        (
            "calibration.by: 'content_type' has no effect, as the method of every task is"
            " none; set platt or isotonic for one, or drop by"
        ),
    ]


def test_types_without_a_task_to_fit_are_an_error():
    section = Calibration(method="platt", by="content_type", tasks={"like": "none"})
    with pytest.raises(RecipeError, match="the method of every task is none"):
        check_calibration(section, {"like": "binary"})
