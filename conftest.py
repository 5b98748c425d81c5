"""How the tests run: one thread per process, several processes for the whole suite, and which.

`pytest` leaves out what is marked `slow`, and `pytest -m slow` runs it. A file that is named runs
whole, and so does everything with `-m ""`.
"""

import gc
import os
from collections.abc import Generator

import pytest

MAX_WORKERS = 8
QUICK = "not slow"  # as in pyproject.toml

# Read by torch when it loads, also in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read by Polars when it loads: its threads cost small tables more than they save.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
# Read by gRPC (Milvus, Ray) when it loads: in a process that is forked to start a program as
# another user, its threads would come back before the program starts, and abort it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which a quarter of the time would go to.

    What is imported and collected stays, so it is never looked through again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Run a file that is named whole."""
    named = [argument.partition("::")[0] for argument in config.args]
    if config.option.markexpr == QUICK and all(name.endswith(".py") for name in named):
        config.option.markexpr = ""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use three workers per two cores (at most 8); a part of the suite starts no workers.

    Tests wait for servers, browsers and disks about a fifth of their time.
    """
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return min(len(os.sched_getaffinity(0)) * 3 // 2, MAX_WORKERS)
