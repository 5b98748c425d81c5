"""Events on disk, each once."""

from crosstower.serving.state.state import State

from .test_state import event_ids, events


def test_an_event_is_stored_once(home: str) -> None:
    with State.open(home) as state:
        assert state.add_events(events("a", "b", "a"))[:2] == (2, 1)
        assert state.add_events(events("b", "c"))[:2] == (1, 1)
        assert state.add_events(events("c"))[:2] == (0, 1)
        assert event_ids(state) == {"a", "b", "c"}
