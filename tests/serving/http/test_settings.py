"""Settings of a server: tokens, limits, and those passed to worker processes."""

from pathlib import Path

import pytest

from crosstower.errors import CrosstowerWarning, ServeError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.serving.http.settings import VARIABLE, Limits, Settings, check_open, tokens_of

from ...fixtures.experiment_log import experiment

ARMS = {
    "old": {"share": 0.5, "request": {"blend": {"weights": {"like": 1.5}, "by": None}}},
    "new": {"share": 0.2},
    "mixed": {"share": 0.2, "interleave": ["old", "new"]},
}
SETTINGS = Settings(bundle=Path("bundle"), state=Path("state"))
NONE = tokens_of({})


def test_workers_get_the_settings_of_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ServeError, match="crosstower serve"):
        Settings.from_environment()
    monkeypatch.setenv(VARIABLE, "")
    experiments = Experiments(experiments=(experiment(arms=ARMS, segments=()),))
    settings = Settings(
        bundle=Path("bundle"),
        state=Path("state"),
        limits=Limits(k=5),
        host_names=("a", "b"),
        experiments=experiments,
    )
    settings.to_environment()
    assert Settings.from_environment() == settings


def test_a_scope_may_have_several_tokens() -> None:
    one, two = "a" * 16, "b" * 16
    found = tokens_of({"CROSSTOWER_READ_TOKEN": f"{one} {two}", "CROSSTOWER_ADMIN_TOKEN": one})
    assert found == {"read": (one, two), "write": (), "admin": (one,)}


@pytest.mark.parametrize("token", ["short", "é" * 20, "a" * 15])
def test_a_weak_token_is_refused_by_the_name_of_its_variable(token: str) -> None:
    with pytest.raises(ServeError, match="CROSSTOWER_WRITE_TOKEN: expected at least 16"):
        tokens_of({"CROSSTOWER_WRITE_TOKEN": token})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_no_token(host: str) -> None:
    check_open(SETTINGS.model_copy(update={"host": host}), NONE)


def test_other_machines_need_a_token_or_a_word() -> None:
    wide = SETTINGS.model_copy(update={"host": "0.0.0.0"})
    with pytest.raises(ServeError, match=r"--host 0\.0\.0\.0: no token is set"):
        check_open(wide, NONE)
    check_open(wide.model_copy(update={"open": True}), NONE)
    check_open(wide, tokens_of({"CROSSTOWER_READ_TOKEN": "x" * 16}))


def test_old_names_of_limits_work_with_a_warning() -> None:
    with pytest.warns(CrosstowerWarning, match="max_queue"):
        assert Limits.model_validate({"waiting": 7}).max_queue == 7
