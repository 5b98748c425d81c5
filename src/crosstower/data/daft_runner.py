"""Run a function over pieces of the data by Daft, on the cores of a machine or a Ray cluster."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from crosstower.errors import CrosstowerError, DataError

Runner = Literal["native", "ray"]
T = TypeVar("T")
R = TypeVar("R")


def open_daft(runner: Runner | None = None) -> Any:
    """Return Daft with a runner.

    Args:
        runner: "native" for the cores of this machine, "ray" for a Ray cluster: the one of
            RAY_ADDRESS, or a new one on this machine. None keeps the runner of Daft's environment
            (DAFT_RUNNER), which is native by default.

    Raises:
        DataError: Daft or Ray is not installed, or this process already uses the other runner.

    """
    daft = _imported("daft", extra="daft", key="data.engine: daft")
    present = daft.get_or_infer_runner_type()
    if "ray" in (runner, present):
        _imported("ray", extra="ray", key="data.runner: ray")
    if runner not in (None, present):
        try:
            daft.set_runner_ray() if runner == "ray" else daft.set_runner_native()
        except daft.exceptions.DaftCoreException as error:
            raise DataError(
                f"data.runner: {runner}, but this process already uses the runner '{present}' of"
                " Daft, which cannot change; start another process, or drop data.runner"
            ) from error
    return daft


def _imported(name: str, *, extra: str, key: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"{key} needs the package {name}; install it with: pip install 'crosstower[{extra}]'"
        ) from error


def map_pieces(
    work: Callable[[T], R], pieces: Sequence[T], runner: Runner | None = None
) -> Iterator[R]:
    """Yield the result of a function per piece, in order; pieces run in parallel.

    Args:
        work: can be pickled, as can pieces and results; several threads may call it at once.
        pieces: arguments.
        runner: as of `open_daft`.

    Raises:
        DataError: Daft or Ray is not installed.
        CrosstowerError: raised by `work`, of the first such piece.

    """
    daft = open_daft(runner)
    binary = daft.DataType.binary()

    @daft.cls(name_override="crosstower")
    class Workers:
        def __init__(self, content: bytes) -> None:
            self.work, self.pieces = pickle.loads(content)  # noqa: S301 - of this process

        @daft.method.batch(return_dtype=binary, batch_size=1)
        def run(self, numbers: Any) -> list[bytes]:
            return [_result(self.work, self.pieces[n]) for n in numbers.to_pylist()]

    frame = daft.from_pydict({"piece": list(range(len(pieces)))})
    if daft.get_or_infer_runner_type() == "ray":
        frame = frame.into_partitions(len(pieces))
    content = importlib.import_module("daft.pickle").dumps((work, list(pieces)))
    results = frame.select(frame["piece"], Workers(content).run(frame["piece"]).alias("result"))
    yield from _in_order(results.iter_rows(), len(pieces))


def _result(work: Callable[[T], R], piece: T) -> bytes:
    """Return a pickled result, or the error that the caller is to see."""
    pickler = importlib.import_module("daft.pickle")
    try:
        return pickler.dumps(work(piece))
    except CrosstowerError as error:
        return pickler.dumps(_Failure(error))


class _Failure:
    def __init__(self, error: CrosstowerError) -> None:
        self.error = error


def _in_order(rows: Iterator[dict[str, Any]], count: int) -> Iterator[Any]:
    """Yield results by the number of their piece; those that come early wait."""
    waiting, number = dict[int, bytes](), 0
    for row in rows:
        waiting[row["piece"]] = row["result"]
        while number in waiting:
            result = pickle.loads(waiting.pop(number))  # noqa: S301 - of our own workers
            if isinstance(result, _Failure):
                raise result.error
            yield result
            number += 1
    if number < count:
        raise DataError(f"Daft returned {number:,} of {count:,} pieces of the data; run it again")
