import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.metrics_folder import VARIABLE, fresh_metrics_folder


def samples(text: str | bytes) -> dict[str, float]:
    """Return what Prometheus reads: {'name{label=value,...}': value}."""
    plain = text.decode() if isinstance(text, bytes) else text
    return {
        sample.name
        + "".join(f"{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}"
                  if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(plain)
        for sample in family.samples
    }  # fmt: skip


def test_everything_that_happens_is_counted() -> None:
    metrics = ServerMetrics()
    metrics.request("/v1/recommend", 200, 0.0042)
    metrics.request("/v1/recommend", 200, 0.012)
    metrics.request("/v1/recommend", 503, 9.0)
    metrics.stage("rank", 0.002)
    metrics.fallback("unknown_user")
    metrics.refused("busy")
    metrics.refused("busy")
    metrics.values("context", looked_up=10, unseen=3)
    metrics.values("context", looked_up=5, unseen=0)
    metrics.items_written(7)
    metrics.events_written(100)
    metrics.swap("done")
    metrics.items(1_500)
    metrics.queue_length(4)
    metrics.queue_length(2)
    text, kind = metrics.render()
    assert kind.startswith("text/plain; version=")
    found = samples(text)
    ok = "route=/v1/recommend,status=200"
    assert found["crosstower_requests_total{" + ok + "}"] == 2
    assert found["crosstower_requests_total{route=/v1/recommend,status=503}"] == 1
    name = "crosstower_request_duration_seconds"
    assert found[f"{name}_count{{{ok}}}"] == 2
    assert found[f"{name}_sum{{{ok}}}"] == pytest.approx(0.0162)
    buckets = {le: found[f"{name}_bucket{{le={le},{ok}}}"] for le in ("0.003", "0.005", "0.015")}
    assert buckets == {"0.003": 0, "0.005": 1, "0.015": 2}
    assert found[f"{name}_bucket{{le=5.0,route=/v1/recommend,status=503}}"] == 0
    assert found["crosstower_stage_duration_seconds_count{stage=rank}"] == 1
    assert found["crosstower_fallbacks_total{reason=unknown_user}"] == 1
    assert found["crosstower_refused_total{reason=busy}"] == 2
    assert found["crosstower_values_total{column=context}"] == 15
    assert found["crosstower_unseen_values_total{column=context}"] == 3
    assert found["crosstower_items_written_total"] == 7
    assert found["crosstower_events_written_total"] == 100
    assert found["crosstower_swaps_total{result=done}"] == 1
    assert found["crosstower_items"] == 1_500
    assert found["crosstower_queue_length"] == 2


def test_a_swap_shows_the_new_version_and_forgets_the_drift() -> None:
    metrics = ServerMetrics()
    metrics.model("aaa")
    metrics.score_drift("aaa", "click", 0.3)
    metrics.score_drift("aaa", "like", None)
    found = samples(metrics.render()[0])
    assert found["crosstower_model_info{version=aaa}"] == 1
    assert found["crosstower_score_drift{task=click,version=aaa}"] == 0.3
    assert found["crosstower_score_drift{task=like,version=aaa}"] == -1
    metrics.model("bbb")
    found = samples(metrics.render()[0])
    assert found["crosstower_model_info{version=aaa}"] == 0
    assert found["crosstower_model_info{version=bbb}"] == 1
    assert found["crosstower_score_drift{task=click,version=aaa}"] == -1
    metrics.model("bbb")
    assert samples(metrics.render()[0])["crosstower_model_info{version=bbb}"] == 1


def test_two_in_one_process_are_independent() -> None:
    one, two = ServerMetrics(), ServerMetrics()
    one.items_written(1)
    assert samples(two.render()[0])["crosstower_items_written_total"] == 0


WORKER = """
import sys
from crosstower.serving.http.metrics import ServerMetrics
metrics = ServerMetrics()
for line in sys.stdin:
    if line.strip() == "render":
        text, kind = metrics.render()
        sys.stdout.write(text.decode() + "# END\\n")
    else:
        exec(line)
        sys.stdout.write("done\\n")
    sys.stdout.flush()
"""


class Worker:
    """A process that does what it is told."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, VARIABLE: str(folder)},
        )

    def __call__(self, *lines: str) -> None:
        for line in lines:
            assert self._ask(line) == "done\n"

    def render(self) -> dict[str, float]:
        text, line = "", self._ask("render")
        while line != "# END\n":
            text, line = text + line, self._read()
        return samples(text)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@contextmanager
def workers(folder: Path, count: int) -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        started = [Worker(folder) for _ in range(count)]
        for worker in started:
            stack.callback(worker.kill)
        yield started


@pytest.mark.slow
def test_workers_are_shown_as_one(tmp_path: Path) -> None:
    folder = fresh_metrics_folder(tmp_path)
    with workers(folder, 2) as (one, two):
        one("metrics.request('/v1/rank', 200, 0.004)", "metrics.queue_length(3)")
        two("metrics.request('/v1/rank', 200, 0.04)", "metrics.queue_length(4)")
        one(
            "metrics.items(10)", "metrics.model('old')", "metrics.score_drift('old', 'click', None)"
        )
        two("metrics.items(11)", "metrics.model('old')", "metrics.score_drift('old', 'click', 0.2)")
        one("metrics.model('new')")
        for worker in (one, two):
            found = worker.render()
            assert found["crosstower_requests_total{route=/v1/rank,status=200}"] == 2
            name = "crosstower_request_duration_seconds"
            assert found[name + "_sum{route=/v1/rank,status=200}"] == pytest.approx(0.044)
            assert found[name + "_bucket{le=0.005,route=/v1/rank,status=200}"] == 1
            assert found["crosstower_queue_length"] == 7
            assert found["crosstower_items"] == 11
            assert found["crosstower_model_info{version=old}"] == 1  # of the second worker
            assert found["crosstower_model_info{version=new}"] == 1
            assert found["crosstower_score_drift{task=click,version=old}"] == 0.2
        two.kill()
        found = one.render()
        assert found["crosstower_requests_total{route=/v1/rank,status=200}"] == 2  # never falls
        assert found["crosstower_queue_length"] == 3
        assert found["crosstower_items"] == 10
        assert found["crosstower_model_info{version=old}"] == 0
        assert found["crosstower_score_drift{task=click,version=old}"] == -1


@pytest.mark.slow
def test_a_new_start_begins_at_nothing(tmp_path: Path) -> None:
    with workers(fresh_metrics_folder(tmp_path), 1) as (one,):
        one("metrics.items_written(5)", "metrics.queue_length(5)")
    with workers(fresh_metrics_folder(tmp_path), 1) as (one,):
        found = one.render()
        assert found["crosstower_items_written_total"] == 0
        assert found["crosstower_queue_length"] == 0
