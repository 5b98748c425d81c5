"""One process reads and begins for all."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crosstower.fitting import rank_zero
from crosstower.fitting.rank_zero import begin_once, read_once
from crosstower.nn.world import ALONE, World


class Second(World):
    """A process of two that does not do what rank 0 does."""

    rank, size = 1, 2

    def first(self, work: Callable[[], Any]) -> Any:
        return None


class First(Second):
    rank = 0

    def first(self, work: Callable[[], Any]) -> Any:
        return work()


@pytest.mark.parametrize(
    ("world", "expected"),
    [(ALONE, ["read"]), (First(), ["read", "store", "load"]), (Second(), ["load"])],
)
def test_rows_are_read_once_and_taken_by_all(
    world: World, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(rank_zero, "store_prepared", lambda *_: done.append("store"))
    monkeypatch.setattr(rank_zero, "prepared_for", lambda folder, _: folder)
    job: Any = SimpleNamespace(load=lambda _: done.append("load"))
    read_once(
        lambda: done.append("read"),
        job,
        SimpleNamespace(),  # type: ignore[arg-type]
        learned=SimpleNamespace,  # type: ignore[arg-type]
        folder=tmp_path / "rows" / "prepared",
        world=world,
    )
    assert done == expected


def test_a_run_begins_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Any = SimpleNamespace()
    monkeypatch.setattr(rank_zero.Run, "open", lambda _: opened)
    begun: Any = SimpleNamespace()
    assert begin_once(lambda: begun, tmp_path, First()) is begun
    assert begin_once(lambda: begun, tmp_path, Second()) is opened
