import pytest

from crosstower.serving.http import bundle_retries as module
from crosstower.serving.http.bundle_retries import BundleRetries


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_server_alone_gives_a_bundle_up_at_once(clock: Clock) -> None:
    retries = BundleRetries(patient=False)
    assert retries.may_try(3)
    assert retries.is_final(3, "it is damaged")
    clock.now += 1e6
    assert not retries.may_try(3)
    assert retries.may_try(4)


def test_one_of_several_waits_for_the_files_before_it_gives_up(clock: Clock) -> None:
    retries = BundleRetries(patient=True)
    assert not retries.is_final(3, "no such folder")
    assert retries.may_try(3)
    clock.now += 14
    assert not retries.is_final(3, "no such folder")
    clock.now += 2
    assert retries.is_final(3, "no such folder")
    assert not retries.may_try(3)
    clock.now += 31
    assert retries.may_try(3)  # somebody may have copied them


def test_the_reason_is_that_of_the_bundle_that_is_chosen_now(clock: Clock) -> None:
    retries = BundleRetries(patient=True)
    assert retries.reason() is None
    retries.is_final(3, "no such folder")
    assert retries.reason() == "the bundle that was chosen cannot be served here: no such folder"
    assert retries.may_try(3)
    assert retries.reason() is not None
    assert retries.may_try(4)
    assert retries.reason() is None
    retries.is_final(4, "no such folder")
    retries.forget()  # the choice was taken back
    assert retries.reason() is None
