"""Counts at the end of a log as files: a server continues from them as if it had seen the log."""

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.data.counters.test_counted_source import HOUR, recipe_of, rows_of

from crosstower.data.counters.count_files import counts_at_end, load_counts, save_counts
from crosstower.data.counters.counted_source import CountedSource, counted_training_source
from crosstower.data.counters.keys import hashes_of, keys_of
from crosstower.errors import RunError

ITEM = {"kind": "counter", "by": "item_id", "window": "12h"}


@pytest.fixture
def source() -> CountedSource:
    columns = {
        "clicks": {**ITEM, "event": "click"},
        "views": {**ITEM, "event": "impression", "delay": "30m"},
    }
    source = counted_training_source(recipe_of("rows", columns), rows_of(400, 3))
    assert isinstance(source, CountedSource)
    return source


def test_a_server_goes_on_from_the_end_of_the_log(source: CountedSource, tmp_path: Path) -> None:
    """Later events are added; counts equal those of the whole log at every later instant."""
    save_counts(counts_at_end(source.history), tmp_path / "counters")
    kept = load_counts(tmp_path / "counters")
    assert kept is not None
    end = kept.until
    assert end == rows_of(400, 3)["time"].max() * 10**9
    later = rows_of(100, 4).with_columns(pl.col("time") + 30 * HOUR)
    later = later.filter(pl.col("time") * 10**9 > end)
    assert later.height > 20
    rows = pl.concat([rows_of(400, 3), later])
    whole = counted_training_source(source.history.recipe, rows)
    items = keys_of([hashes_of(pl.Series(range(12)))])
    clicks = later.filter(pl.col("click") == 1)
    for count, own in zip(kept.counts, (clicks, later), strict=True):
        live = kept.counts[count]
        added = own["time"].to_numpy() * 10**9
        live.add(keys_of([hashes_of(own["item_id"])]), added)
        for at in (end, end + 1, *np.unique(added).tolist(), end + 30 * HOUR * 10**9):
            wanted = whole.history.counts[count].at(items, np.full(12, at))
            assert live.at(items, at).tolist() == wanted.tolist()


def test_an_event_from_the_future_does_not_move_the_end(
    source: CountedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = np.sort(rows_of(400, 3)["time"].to_numpy()) * 10**9
    now, items = int(times[-50]) + 1, keys_of([hashes_of(pl.Series(range(12)))])
    monkeypatch.setattr(time, "time_ns", lambda: now)
    found = counts_at_end(source.history)
    assert found.until == now
    for count, live in found.counts.items():
        for instant in (now, now + 2 * HOUR * 10**9):
            before = np.full(12, instant)
            whole = source.history.counts[count].at(items, before)
            keys, later = source.history.counts[count].since(now + 1)
            later = later < count.end(instant)
            new = np.array([(keys[later] == key).sum() for key in items])
            assert live.at(items, instant).tolist() == (whole - new).tolist()


def test_every_load_gives_counts_of_its_own(source: CountedSource, tmp_path: Path) -> None:
    save_counts(counts_at_end(source.history), tmp_path / "counters")
    first, second = load_counts(tmp_path / "counters"), load_counts(tmp_path / "counters")
    count = next(iter(first.counts))
    first.counts[count].advance(first.until + 10**18)
    first.counts[count].add([5], [first.until + 10**18 - 1])
    key = np.array([5], np.uint64)
    assert first.counts[count].at(key, first.until + 10**18) == [1]
    assert second.counts[count].at(key, second.until) == [0]


class TestFaults:
    def test_no_counts(self, tmp_path: Path) -> None:
        assert load_counts(tmp_path / "counters") is None

    @pytest.mark.parametrize("content", [b"", b"nonsense", None])
    def test_damaged_counts(
        self, content: bytes | None, source: CountedSource, tmp_path: Path
    ) -> None:
        save_counts(counts_at_end(source.history), tmp_path / "counters")
        path = tmp_path / "counters" / "counts-001.npz"
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(RunError, match=r"counts-001.npz: damaged counts of events: "):
            load_counts(tmp_path / "counters")

    def test_a_damaged_document(self, source: CountedSource, tmp_path: Path) -> None:
        save_counts(counts_at_end(source.history), tmp_path / "counters")
        (tmp_path / "counters" / "counters.json").write_text("{")
        with pytest.raises(RunError, match=r"counters.json: damaged: .*; train the run again"):
            load_counts(tmp_path / "counters")
