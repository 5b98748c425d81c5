import asyncio

import pytest

from crosstower.serving.http import admission
from crosstower.serving.http.admission import AdmissionLimit, AdmissionLimits, Pauses, QueuePlace


def test_a_gate_is_full_at_its_limit() -> None:
    one = AdmissionLimit(most=2, seconds=100)
    places = [QueuePlace(one) for _ in range(3)]
    for place in places[:2]:
        assert not one.full
        place.take()
        place.take()  # twice is once
    assert one.full
    places[0].leave()
    places[0].leave()
    places[2].leave()  # never taken
    assert (one.full, one.inside) == (False, 1)


def test_no_more_are_taken_on_than_can_be_served_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(admission.time, "monotonic", lambda: now[0])
    one = AdmissionLimit(most=1_000, seconds=0.5)
    for _ in range(1_000):
        one.enter()
    for _ in range(500):  # 100 a second
        now[0] += 0.01
        one.leave()
        one.enter()
    while one.full:
        one.leave()  # at once: it gets faster
        one.enter()
        one.leave()
    assert one.inside > 50
    steady = AdmissionLimit(most=1_000, seconds=0.5)
    steady.enter()
    for _ in range(1_000):
        while not steady.full:
            steady.enter()
        now[0] += 0.01
        steady.leave()
    assert steady.inside == pytest.approx(50, abs=2)


def test_a_rest_does_not_count_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(admission.time, "monotonic", lambda: now[0])
    one = AdmissionLimit(most=100, seconds=0.5)
    for _ in range(200):
        now[0] += 60.0
        one.enter()
        now[0] += 0.001
        one.leave()
    for _ in range(99):
        assert not one.full
        one.enter()


def test_paths_have_their_gates() -> None:
    admission = AdmissionLimits(
        AdmissionLimit(most=1, seconds=1), AdmissionLimit(most=1, seconds=1)
    )
    assert admission.of(b"/v1/recommend") is admission.live
    assert admission.of(b"/v1/events") is admission.events
    assert admission.of(b"/healthz") is admission.of(b"/page/app.js") is None
    assert admission.of(b"/v1/experiments/report?name=a") is None
    assert not admission.any_full
    admission.events.enter()
    assert admission.any_full


def test_pauses_end_in_order() -> None:
    found: list[int] = []

    async def some() -> None:
        pauses = Pauses(0.02)
        for number in range(5):
            pauses.add(lambda number=number: found.append(number))
            await asyncio.sleep(0.005)
        assert found != [0, 1, 2, 3, 4]
        await asyncio.sleep(0.1)
        pauses.add(lambda: found.append(5))
        await asyncio.sleep(0.1)

    asyncio.run(some())
    assert found == [0, 1, 2, 3, 4, 5]
