"""A server that is asked for more than it can do: python -m benchmarks serve --overload.

Closed loops of keep-alive connections that ask again at once, also after a refusal, from a process
of its own: first --connections (16), which gives the capacity, then --flood (256) for --seconds,
then --connections again. Latency counts from the last byte sent to the last byte received.
"""

import asyncio
import json
import time
from collections import defaultdict

import numpy as np

Samples = dict[int, list[tuple[float, float]]]  # (when answered, seconds) by status


class Asker(asyncio.Protocol):
    """One connection that asks, waits for the whole answer, and asks again until the end."""

    def __init__(self, requests: list[bytes], until: float, samples: Samples) -> None:
        self.requests, self.until, self.samples = requests, until, samples
        self.done = asyncio.get_running_loop().create_future()
        self.number, self.buffer, self.sent = 0, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.number = (self.number + 1) % len(self.requests)
        self.buffer, self.sent = b"", time.perf_counter()
        self.transport.write(self.requests[self.number])  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(body) < int(length):
            return
        now = time.perf_counter()
        self.samples[int(head.split(b" ", 2)[1])].append((now, now - self.sent))
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def requests_of(bodies: list[bytes]) -> list[bytes]:
    head = "POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return [head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(b), b) for b in bodies]


async def loops(port: int, connections: int, seconds: float, asked: list[bytes]) -> Samples:
    """Return what the closed loops got; a connection that is closed is opened again."""
    samples: Samples = defaultdict(list)
    until, loop = time.perf_counter() + seconds, asyncio.get_running_loop()

    async def one(number: int) -> None:
        mine = requests_of(asked[number % 50 :] + asked[: number % 50])
        while time.perf_counter() < until:
            try:
                _, asker = await loop.create_connection(
                    lambda: Asker(mine, until, samples), "127.0.0.1", port
                )
            except OSError:
                await asyncio.sleep(0.01)
                continue
            await asyncio.wait_for(asker.done, seconds + 30)

    await asyncio.gather(*(one(number) for number in range(connections)))
    return samples


def flood(port: int, connections: int, flooding: int, seconds: float) -> str:
    """Return the results of the three phases as JSON."""
    import uvloop

    asked = bodies()

    def run(many: int, spent: float) -> Samples:
        return uvloop.run(loops(port, many, spent, asked))

    run(connections, 3)  # warm
    phases = {"before": (connections, 8.0), "flood": (flooding, seconds), "after": (connections, 8)}
    found = {}
    for name, (many, spent) in phases.items():
        start = time.perf_counter()
        found[name] = figures(run(many, spent), start)
    return json.dumps(found)


def figures(samples: Samples, start: float) -> dict[str, float]:
    """Return rates and quantiles of answers (200) and refusals (503)."""
    answered, refused = samples.get(200, []), samples.get(503, [])
    end = max(when for kind in samples.values() for when, _ in kind)
    first = sum(start <= when < start + 1 for when, _ in answered)
    others = sum(len(kind) for status, kind in samples.items() if status not in {200, 503})
    return {
        "answered": len(answered) / (end - start),
        "refused": len(refused) / (end - start),
        "first_second": first,
        "answered_p50": _quantile(answered, 0.5),
        "answered_p99": _quantile(answered, 0.99),
        "refused_p50": _quantile(refused, 0.5),
        "refused_p99": _quantile(refused, 0.99),
        "refused_most": _quantile(refused, 1.0),
        "others": others,
    }


def _quantile(samples: list[tuple[float, float]], share: float) -> float:
    return float(1e3 * np.quantile([s for _, s in samples], share)) if samples else 0.0


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the results in Markdown."""
    names = ("phase", "answered/s", "of before", "in the first second", "p50 ms", "p99")
    lines = [f"| {' | '.join(names)} | refused/s | p50 ms | p99 | largest | other |"]
    lines.append("|" + "---|" * 11)
    capacity = found["before"]["answered"]
    for name, row in found.items():
        cells = [name, f"{row['answered']:.0f}", f"{row['answered'] / capacity:.0%}"]
        cells += [f"{row['first_second']:.0f}", f"{row['answered_p50']:.0f}"]
        cells += [f"{row['answered_p99']:.0f}", f"{row['refused']:.0f}"]
        cells += [f"{row[k]:.0f}" for k in ("refused_p50", "refused_p99", "refused_most", "others")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def bodies(count: int = 200) -> list[bytes]:
    """Return bodies for random users."""
    from benchmarks.client import body
    from benchmarks.serving_bundle import USERS

    users = np.random.default_rng(0).integers(0, USERS, count)
    return [body(int(user)) for user in users]
