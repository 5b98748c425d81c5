from typing import Any

from crosstower.training.observers import Observers


class Notes:
    def __init__(self, seen: list[Any], name: str) -> None:
        self.seen, self.name = seen, name

    def begin(self, *, rows: int, epoch: int) -> None:
        self.seen.append((self.name, "begin", rows, epoch))

    def advance(self, *, rows: int, loss: float) -> None:
        self.seen.append((self.name, "advance", rows, loss))

    def finish(self, record: dict[str, Any]) -> None:
        self.seen.append((self.name, "finish", record["epoch"]))


def test_all_observers_see_everything_in_their_order() -> None:
    seen: list[Any] = []
    both = Observers([Notes(seen, "a"), Notes(seen, "b")])
    both.begin(rows=10, epoch=0)
    both.advance(rows=5, loss=0.5)
    both.finish({"epoch": 0})
    assert seen == [
        (name, *event)
        for event in [("begin", 10, 0), ("advance", 5, 0.5), ("finish", 0)]
        for name in ("a", "b")
    ]
