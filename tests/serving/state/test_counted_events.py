"""Events as counts read them: some types, by number and time, in parts."""

from datetime import UTC, datetime, timedelta

from crosstower.serving.state.counted_events import CountedEvent, read_to_count
from crosstower.serving.state.event_log import microseconds
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_events_are_read_in_parts_by_type_and_time(home: str) -> None:
    kinds = ["click", "other", "view"]
    with State.open(home) as state:
        state.add_events(
            [
                Event(
                    event_id=f"{n}",
                    type=kinds[n % 3],
                    time=START - timedelta(seconds=n),
                    user=n,
                    query={"n": n},
                )
                for n in range(12)
            ]
        )
        found, after = list[CountedEvent](), 0
        while True:
            with state.database.reading() as connection:
                part = read_to_count(
                    connection,
                    ["click", "view"],
                    after=after,
                    last=11,
                    since=microseconds(START) - 9_000_000,
                    limit=3,
                )
            assert len(part) <= 3
            found += part
            if not part:
                break
            after = part[-1].sequence
    # The twelfth is after the last number; the tenth is not after the time.
    assert [one.query for one in found] == [f'{{"n":{n}}}' for n in (0, 2, 3, 5, 6, 8)]
    assert [one.user for one in found[:2]] == ["0", "2"]
    assert {one.type for one in found} == {"click", "view"}


def test_properties_are_left_out_where_they_do_not_matter(home: str) -> None:
    with State.open(home) as state:
        state.add_events([Event(event_id="a", type="click", user=1, query={"n": 1})])
        with state.database.reading() as connection:
            found = read_to_count(
                connection, ["click"], after=0, last=1, since=0, limit=9, properties=False
            )
    assert [(one.user, one.query, one.attributes) for one in found] == [("1", None, None)]
