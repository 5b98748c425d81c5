import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosstower.errors import DataError, ServeError
from crosstower.serving.state.opening import FILE
from crosstower.serving.state.state import State

from .stored import event_ids, events, table

WRITER = """
import sys
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
state = State.open(folder)
for n in range(count):
    row = {"item_id": f"{name}-{n % 7}", "n": n, "text": "x" * (n * 37 % 3000)}
    sequence = state.put_items([row], item="item_id")
    print("item", sequence, row["item_id"], n, flush=True)
    state.add_events([Event(event_id=f"{name}-{n}-{m}", type="click") for m in range(3)])
    print("events", f"{name}-{n}", flush=True)
    if n % 20 == 19:
        state.compact()
state.close()
"""


def writer(folder: str, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_rows_come_back_as_they_were(home: str) -> None:
    rows: list[dict[str, Any]] = [
        {"id": 2**70, "list": [1, None, "é"], "float": 0.1, "whole": 1.0, "none": None},
        {"id": "17", "nested": {"a": [True, {"b": -(2**64)}]}, "text": "\x00'\"\n漢"},
        {"id": 17, "id ": "another"},
    ]
    with State.open(home) as state:
        assert state.put_items(rows, item="id") == 3
        assert state.delete_items(["17", 5]) == 5
    with State.open(home) as state:
        changes = list(state.changes_after(0))
    assert [c.row for c in changes] == [*rows, None, None]
    assert [c.id for c in changes] == [2**70, "17", 17, "17", 5]
    assert [c.sequence for c in changes] == [1, 2, 3, 4, 5]
    assert isinstance((changes[0].row or {})["whole"], float)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": 1}, {"price": 3}], "items: row 2: has no 'id'; give every item its id"),
        ([{"id": 1.5}], "items: row 1: 'id': expected an id, an integer or a text, got 1.5"),
        ([{"id": True}], "expected a whole number or text, got True"),
        ([{"id": None}], "expected a whole number or text, got None"),
        ([{"id": 1, "x": math.nan}], "items: row 1: .*NaN and infinity are not JSON"),
        ([{"id": 1, "x": [math.inf]}], "NaN and infinity are not JSON"),
        ([{"id": 1, "x": "\ud800"}], "half of a character"),
        ([{"id": "\ud800"}], "half of a character"),
        ([{"id": 1, "x": {1, 2}}], "set is not JSON serializable"),
        ([{"id": 10**5000}], "integer string conversion"),
    ],
)
def test_rows_that_cannot_be_kept_are_refused_whole(
    home: str, rows: list[dict[str, Any]], words: str
) -> None:
    with State.open(home) as state:
        with pytest.raises(DataError, match=words):
            state.put_items([{"id": 0}, *rows][-len(rows) :], item="id")
        assert list(state.changes_after(0)) == []


def test_deep_nesting_is_refused(home: str) -> None:
    deep: Any = None
    for _ in range(100_000):
        deep = [deep]
    with State.open(home) as state, pytest.raises(DataError, match="nested too deeply"):
        state.put_items([{"id": 1, "x": deep}], item="id")


def test_ids_to_delete_are_checked(home: str) -> None:
    with State.open(home) as state:
        bad: Any = [1, True]
        with pytest.raises(DataError, match=r"ids: number 2: expected a whole number or text"):
            state.delete_items(bad)
        assert state.last_sequence() == 0


def test_no_rows_are_no_change(home: str) -> None:
    with State.open(home) as state:
        assert state.put_items([], item="id") == 0
        assert state.put_items([{"id": 1}], item="id") == 1
        assert state.delete_items([]) == 1
        assert state.add_events([])[:2] == (0, 0)


def test_changes_are_read_on_from_any_number(home: str) -> None:
    with State.open(home) as state:
        state.put_items([{"id": n} for n in range(2_500)], item="id")
        assert [c.id for c in state.changes_after(1)] == list(range(1, 2_500))
        assert [c.id for c in state.changes_after(2_499)] == [2_499]
        assert list(state.changes_after(2_500)) == []


def test_compacting_keeps_the_last_change_of_each_id_and_numbers_never_go_back(
    home: str,
) -> None:
    with State.open(home) as state:
        state.put_items([{"id": n % 3, "n": n} for n in range(10)], item="id")
        state.put_items([{"id": "0"}], item="id")
        state.delete_items([2])
        before = table(state)
        assert state.compact() == 8
        assert table(state) == before
        assert [c.sequence for c in state.changes_after(0)] == [8, 10, 11, 12]
        assert state.compact() == 0
        assert state.last_sequence() == 12
        assert state.put_items([{"id": 9}], item="id") == 13


def test_a_worker_sees_what_another_has_written(home: str) -> None:
    with State.open(home) as ours, State.open(home) as theirs:
        assert theirs.put_items([{"id": 1}], item="id") == ours.last_sequence() == 1
        assert ours.delete_items([1]) == theirs.last_sequence() == 2
        theirs.add_events(events("a"))
        assert ours.last_sequence() == 2  # nothing to apply
        chosen = theirs.set_bundle("/bundles/new")
        assert ours.bundle() == (chosen, Path("/bundles/new"))
        theirs.compact()
        assert ours.last_sequence() == 2


def test_the_bundle_chosen_last_is_served(home: str, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"na\xffme ?%20")
    with State.open(home) as state:
        assert state.bundle() is None
        first, second = state.set_bundle("bundle"), state.set_bundle(odd)
        assert second > first
    with State.open(home) as state:
        assert state.bundle() == (second, odd)
        state.set_bundle("bundle")
        assert state.bundle() == (second + 1, Path.cwd() / "bundle")


def test_threads_lose_nothing(home: str) -> None:
    with State.open(home) as state:
        given: list[int] = []

        def put(thread: int) -> None:
            for n in range(20):
                sequence = state.put_items([{"id": f"{thread}-{n}"}], item="id")
                assert state.last_sequence() >= sequence
                given.append(sequence)
                state.add_events(events(f"{thread}-{n}"))

        threads = [threading.Thread(target=put, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(given) == list(range(1, 121))
        assert len(table(state)) == len(event_ids(state)) == 120


def test_processes_that_write_at_once_lose_nothing(home: str) -> None:
    workers = [writer(home, name, 60) for name in ("a", "b", "c")]  # they make the file too
    lines = [line for worker in workers for line in worker.communicate()[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    sequences = [int(line.split()[1]) for line in lines if line.startswith("item")]
    assert sorted(sequences) == list(range(1, 181))
    with State.open(home) as state:
        assert len(event_ids(state)) == 3 * 60 * 3
        assert sorted(row["n"] for row in table(state).values() if row) == sorted(
            [*range(53, 60)] * 3
        )


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9(home: str) -> None:
    rng, items, known = np.random.default_rng(6), dict[str, int](), set[str]()
    for turn in range(5):
        workers = [writer(home, f"{turn}{name}", 1_000_000) for name in "ab"]
        starts = [worker.stdout.readline() if worker.stdout else "" for worker in workers]
        time.sleep(rng.uniform(0.02, 0.3))
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        for start, worker in zip(starts, workers, strict=True):
            *lines, _half = (start + worker.communicate()[0]).split("\n")
            assert worker.returncode == -signal.SIGKILL
            for words in map(str.split, lines):
                if words[0] == "item":
                    items[words[2]] = int(words[3])
                else:
                    known |= {f"{words[1]}-{m}" for m in range(3)}
        with State.open(home) as state:
            state.check()
            there, found = table(state), event_ids(state)
        assert all((there[i] or {})["n"] >= n for i, n in items.items())
        assert known <= found
        whole = {event_id.rpartition("-")[0] for event_id in found}
        assert found == {f"{stem}-{m}" for stem in whole for m in range(3)}  # no half of a call
    assert len(known) > 30


def test_a_folder_that_cannot_be_made_or_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match="file: cannot be created: File exists"):
        State.open(tmp_path / "file")
    (tmp_path / FILE).mkdir()
    with pytest.raises(
        ServeError, match=r"state\.sqlite: cannot be read or written: unable to open"
    ):
        State.open(tmp_path)
    with pytest.raises(ServeError, match=r"not the state of a server \(no state\.sqlite\)"):
        State.open_existing(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / FILE).rmdir()
    (tmp_path / "state.lock").unlink(missing_ok=True)
    (tmp_path / "state.lock").mkdir()
    with pytest.raises(ServeError, match="cannot be opened: Is a directory"):
        State.open(tmp_path)


def test_a_closed_state_says_so(home: str) -> None:
    state = State.open(home)
    state.close()
    with pytest.raises(ServeError, match="closed"):
        state.last_sequence()
